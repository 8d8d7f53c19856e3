"""Tests of `serve.policies.cache_tier`."""

import pytest

from serve.policies.cache_tier import CacheTier


def filled() -> CacheTier[str]:
    tier: CacheTier[str] = CacheTier(10)
    for key in "abc":
        tier.add(key, 3)
    return tier


def test_the_least_recently_used_go_first() -> None:
    tier = filled()
    tier.touch("a")
    assert tier.victims({"new": 1}, keep=()) == []
    assert tier.victims({"new": 2}, keep=()) == ["b"]
    assert tier.victims({"new": 5}, keep=()) == ["b", "c"]
    assert tier.victims({"new": 5}, keep=("b",)) == ["c", "a"]


def test_pinned_keys_stay_until_the_last_pin_is_back() -> None:
    tier = filled()
    tier.pin("a")
    tier.pin("a")
    tier.unpin("a")
    assert tier.pinned == {"a"}
    assert tier.victims({"new": 10}, keep=()) is None
    tier.unpin("a")
    assert tier.victims({"new": 10}, keep=()) == ["a", "b", "c"]


def test_sizes_are_counted_exactly() -> None:
    tier = filled()
    tier.shrink("b", 1)
    assert tier.used_bytes == 7
    tier.remove("a")
    assert tier.used_bytes == 4
    assert "a" not in tier
    assert len(tier) == 2
    with pytest.raises(AssertionError):
        tier.add("large", 7)


def test_a_key_is_there_with_its_size_until_it_is_removed() -> None:
    tier = filled()
    assert "a" in tier
    assert tier.size_bytes("a") == 3
    tier.shrink("a", 1)
    assert tier.size_bytes("a") == 1
    tier.remove("a")
    assert "a" not in tier
    assert tier.used_bytes == 6


def test_what_takes_no_room_is_never_in_the_way() -> None:
    tier = filled()
    tier.shrink("a", 0)
    assert tier.victims({"new": 5}, keep=()) == ["b"]


def test_one_byte_too_many_is_too_many() -> None:
    tier = filled()
    for key in "abc":
        tier.pin(key)
    assert tier.victims({"new": 1}, keep=()) == []
    assert tier.victims({"new": 2}, keep=()) is None
    for key in "abc":
        tier.unpin(key)
    assert tier.pinned == frozenset()
