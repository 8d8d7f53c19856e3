"""Tests of `serve.policies.concept_cache`."""

from collections.abc import Sequence

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cdcore.errors import ConfigError
from serve.policies.concept_cache import Action, ConceptCache, Evict, Fail, Grant, Load, Sizes

HOST, DISK = 10, 16
SIZES = {
    "a": Sizes(host=3, disk=2),
    "b": Sizes(host=4, disk=5),
    "c": Sizes(host=2, disk=0),
    "d": Sizes(host=6, disk=8),
    "e": Sizes(host=1, disk=1),
}


def needs(keys: Sequence[str]) -> dict[str, Sizes]:
    return {key: SIZES[key] for key in keys}


def cache_with(*keys: str, host: int = HOST, disk: int = DISK) -> ConceptCache[str]:
    """A cache that has loaded some keys one after the other."""
    cache: ConceptCache[str] = ConceptCache(host_bytes=host, disk_bytes=disk)
    for key in keys:
        cache.request(("filling", key), needs(key))
        cache.loaded(key, SIZES[key].host)
        cache.release(("filling", key))
    return cache


class Life(RuleBasedStateMachine):
    """Any order of requests, finished and failed loads, returned leases and cancels."""

    def __init__(self) -> None:
        super().__init__()
        self.cache: ConceptCache[str] = ConceptCache(host_bytes=HOST, disk_bytes=DISK)
        self.in_memory: dict[str, int] = {}
        self.on_disk: dict[str, int] = {}
        self.loading: set[str] = set()
        self.open: dict[int, tuple[str, ...]] = {}
        self.granted: set[int] = set()
        self.count = 0

    def carry_out(self, actions: Sequence[Action]) -> None:
        """Keep what the cache asks for in two plain dictionaries, and check it step by step."""
        for action in actions:
            match action:
                case Load(str() as key, from_disk):
                    assert key not in self.loading
                    assert key not in self.in_memory
                    assert from_disk == (key in self.on_disk)
                    self.loading.add(key)
                    self.on_disk.setdefault(key, SIZES[key].disk)
                    assert sum(self.on_disk.values()) <= DISK
                case Evict(str() as key, "host"):
                    del self.in_memory[key]
                case Evict(str() as key, "disk"):
                    assert key not in self.loading
                    del self.on_disk[key]
                case Grant(int() as ticket):
                    assert ticket not in self.granted
                    self.granted.add(ticket)
                case Fail(int() as ticket, key):
                    assert key in self.open.pop(ticket)
                    assert ticket not in self.granted

    @rule(keys=st.lists(st.sampled_from(sorted(SIZES)), min_size=1, max_size=3, unique=True))
    def request(self, keys: list[str]) -> None:
        self.count += 1
        wanted = needs(keys)
        host = sum(sizes.host for sizes in wanted.values())
        if host > HOST or sum(sizes.disk for sizes in wanted.values()) > DISK:
            with pytest.raises(ConfigError, match="fewer"):
                self.cache.request(self.count, wanted)
            return
        self.open[self.count] = tuple(keys)
        self.carry_out(self.cache.request(self.count, wanted))

    @precondition(lambda self: self.loading)
    @rule(data=st.data())
    def finish_load(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.loading)))
        size = data.draw(st.integers(1, SIZES[key].host))
        self.loading.remove(key)
        self.in_memory[key] = size
        self.carry_out(self.cache.loaded(key, size))

    @precondition(lambda self: self.loading)
    @rule(data=st.data(), too_large=st.booleans())
    def fail_load(self, data: st.DataObject, too_large: bool) -> None:
        key = data.draw(st.sampled_from(sorted(self.loading)))
        self.loading.remove(key)
        if too_large:
            self.carry_out(self.cache.loaded(key, SIZES[key].host + 1))
        else:
            self.carry_out(self.cache.failed(key))
        assert key not in self.on_disk or key in self.loading

    @precondition(lambda self: self.open)
    @rule(data=st.data(), times=st.integers(1, 2))
    def release(self, data: st.DataObject, times: int) -> None:
        ticket = data.draw(st.sampled_from(sorted(self.open)))
        del self.open[ticket]
        self.granted.discard(ticket)
        for _ in range(times):
            self.carry_out(self.cache.release(ticket))

    @invariant()
    def the_books_are_right(self) -> None:
        cache = self.cache
        promised = sum(SIZES[key].host for key in self.loading)
        assert cache.host.used_bytes == sum(self.in_memory.values()) + promised <= HOST
        assert cache.disk.used_bytes == sum(self.on_disk.values()) <= DISK
        assert cache.tickets == len(self.open)

    @invariant()
    def what_is_leased_is_there(self) -> None:
        for ticket in self.granted:
            assert set(self.open[ticket]) <= set(self.in_memory)
        leased = {key for ticket in self.granted for key in self.open[ticket]}
        assert leased <= self.cache.host.pinned

    def teardown(self) -> None:
        """Once loads end and leases come back, every ticket has had its turn."""
        for _ in range(10 * (len(self.open) + len(self.loading) + 1)):
            if self.loading:
                key = min(self.loading)
                self.loading.remove(key)
                self.in_memory[key] = SIZES[key].host
                self.carry_out(self.cache.loaded(key, SIZES[key].host))
            elif self.granted:
                ticket = min(self.granted)
                self.granted.remove(ticket)
                del self.open[ticket]
                self.carry_out(self.cache.release(ticket))
        assert not self.open
        assert self.cache.tickets == 0
        assert not self.cache.host.pinned
        assert not self.cache.disk.pinned


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=60, stateful_step_count=40)


def test_a_key_is_loaded_once_for_all_who_wait() -> None:
    cache: ConceptCache[str] = ConceptCache(host_bytes=HOST, disk_bytes=DISK)
    assert cache.request(1, needs("a")) == [Load("a", from_disk=False)]
    assert cache.request(2, needs("ae")) == [Load("e", from_disk=False)]
    assert cache.loaded("a", 3) == [Grant(1)]
    assert cache.loaded("e", 1) == [Grant(2)]
    assert cache.request(3, needs("ea")) == [Grant(3)]
    assert cache.lookups == {"source": 2, "loading": 1, "host": 2}


def test_the_disk_copy_spares_the_source() -> None:
    cache = cache_with("a", "b", "d")
    assert "a" not in cache.host
    assert cache.request(1, needs("a"))[-1] == Load("a", from_disk=True)


def test_the_least_recently_used_concept_goes() -> None:
    cache = cache_with("a", "b", "c")
    cache.request(1, needs("a"))
    cache.release(1)
    assert cache.request(2, needs("b")) == [Grant(2)]
    cache.release(2)
    assert cache.request(3, needs("d"))[:2] == [Evict("c", "host"), Evict("a", "host")]


def test_a_failure_reaches_all_who_wait_and_the_next_one_tries_again() -> None:
    cache: ConceptCache[str] = ConceptCache(host_bytes=HOST, disk_bytes=DISK)
    cache.request(1, needs("a"))
    cache.request(2, needs("ae"))
    assert cache.failed("a") == [Fail(1, "a"), Fail(2, "a"), Evict("a", "disk")]
    assert cache.request(3, needs("a")) == [Load("a", from_disk=False)]
    assert cache.loaded("e", 1) == []
    assert cache.host.pinned == {"a"}


def test_two_sets_that_overlap_cannot_block_each_other() -> None:
    cache: ConceptCache[str] = ConceptCache(host_bytes=10, disk_bytes=DISK)
    assert len(cache.request(1, needs("bd"))) == 2
    assert cache.request(2, needs("ad")) == []
    assert cache.loaded("b", 4) + cache.loaded("d", 6) == [Grant(1)]
    assert cache.release(1) == [Evict("b", "host"), Load("a", from_disk=False)]
    assert cache.loaded("a", 3) == [Grant(2)]


def test_a_stream_of_hits_cannot_starve_who_needs_room() -> None:
    """Someone always holds the small concept; the large one needs all the memory."""
    cache = cache_with("e", host=6)
    cache.request(("hit", 0), needs("e"))
    assert cache.request("large", needs("d")) == []
    for number in range(1, 500):
        granted = cache.request(("hit", number), needs("e"))
        actions = cache.release(("hit", number - 1))
        if Load("d", from_disk=False) in actions:
            return
        assert granted == [Grant(("hit", number))] or number > 60
    pytest.fail("the large concept was never loaded")


def test_sixty_four_hits_may_pass_one_that_needs_room() -> None:
    cache = cache_with("e", host=6)
    cache.request(("hit", 0), needs("e"))
    assert cache.request("large", needs("d")) == []
    granted = [cache.request(("hit", number), needs("e")) for number in range(1, 100)]
    assert granted == [[Grant(("hit", number))] for number in range(1, 65)] + [[]] * 35


def test_only_who_needs_no_room_may_pass_one_that_does() -> None:
    cache = cache_with("e", host=6)
    cache.request("hit", needs("e"))
    assert cache.request("large", needs("d")) == []
    assert cache.request("one is here", needs("ec")) == []
    assert cache.request("none is here", needs("c")) == []
    assert cache.request("all are here", needs("e")) == [Grant("all are here")]


def test_all_who_wait_and_find_room_are_served_at_once() -> None:
    cache: ConceptCache[str] = ConceptCache(host_bytes=10, disk_bytes=100)
    cache.request("first", needs("bd"))
    for key in "bd":
        cache.loaded(key, SIZES[key].host)
    for key in "ca":
        assert cache.request(key, needs(key)) == []
    loads = [action for action in cache.release("first") if isinstance(action, Load)]
    assert loads == [Load("c", from_disk=False), Load("a", from_disk=False)]


def test_who_finds_no_room_on_the_disk_waits_for_it() -> None:
    wide = Sizes(host=1, disk=10)
    cache: ConceptCache[str] = ConceptCache(host_bytes=10, disk_bytes=16)
    assert cache.request(1, {"x": wide}) == [Load("x", from_disk=False)]
    assert cache.request(2, {"y": wide}) == []
    # Its copy may go once it is in memory.
    assert cache.loaded("x", 1) == [Grant(1), Evict("x", "disk"), Load("y", from_disk=False)]
    assert cache.disk.used_bytes == 10
    assert "x" not in cache.disk


def test_the_least_recently_loaded_copy_leaves_the_disk() -> None:
    cache: ConceptCache[str] = ConceptCache(host_bytes=1, disk_bytes=10)
    sizes = Sizes(host=1, disk=5)
    told = []
    for key in "xyxz":
        told += cache.request(key, {key: sizes})
        cache.loaded(key, 1)
        cache.release(key)
    assert [action for action in told if isinstance(action, Evict) and action.tier == "disk"] == [
        Evict("y", "disk")
    ]
    assert cache.lookups == {"source": 3, "disk": 1}
