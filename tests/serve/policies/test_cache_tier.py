"""Tests of `serve.policies.cache_tier`."""

import pytest

from serve.policies.cache_tier import Ledger


def filled() -> Ledger[str]:
    ledger: Ledger[str] = Ledger(10)
    for key in "abc":
        ledger.add(key, 3)
    return ledger


def test_the_least_recently_used_go_first() -> None:
    ledger = filled()
    ledger.touch("a")
    assert ledger.victims({"new": 1}, keep=()) == []
    assert ledger.victims({"new": 2}, keep=()) == ["b"]
    assert ledger.victims({"new": 5}, keep=()) == ["b", "c"]
    assert ledger.victims({"new": 5}, keep=("b",)) == ["c", "a"]


def test_pinned_keys_stay_until_the_last_pin_is_back() -> None:
    ledger = filled()
    ledger.pin("a")
    ledger.pin("a")
    ledger.unpin("a")
    assert ledger.pinned == {"a"}
    assert ledger.victims({"new": 10}, keep=()) is None
    ledger.unpin("a")
    assert ledger.victims({"new": 10}, keep=()) == ["a", "b", "c"]


def test_sizes_are_counted_exactly() -> None:
    ledger = filled()
    ledger.shrink("b", 1)
    assert ledger.used_bytes == 7
    ledger.remove("a")
    assert ledger.used_bytes == 4
    assert "a" not in ledger
    assert len(ledger) == 2
    with pytest.raises(AssertionError):
        ledger.add("large", 7)
