"""Which concepts are kept in memory and on the local disk, and who may use them: policy only.

A ticket asks for a set of keys. It gets a lease on all of them at once or waits, so no two tickets
can block each other; leased keys stay in memory. Room is made, and counted as taken, before a load
starts, so no budget is ever passed. A key is loaded once however many tickets wait for it, from the
disk tier when it lies there, else from its source and through the disk tier.

Tickets that need room go in order of arrival. Those that need none may pass the one that waits for
room, but only so often (``_MAX_PASSED``): then leases come back, nothing new is leased, and room
there will be. So nothing starves as long as every lease is returned.

Every method returns what is to be done now, in order; the caller does it and reports back. The
third tier, the device, is a `serve.policies.byte_lru.ByteLRU`, because one thread alone uses it.

Plain Python, not for several threads.
"""

from collections import Counter
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

from cdcore.errors import ConfigError
from serve.policies.cache_tier import CacheTier

__all__ = ["Action", "ConceptCache", "Evict", "Fail", "Grant", "Load", "Sizes"]

Key = TypeVar("Key", bound=Hashable)

_MAX_PASSED = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class Sizes:
    """Upper bounds of what a key takes, bytes in each tier."""

    host: int
    disk: int


@dataclass(frozen=True, slots=True)
class Load:
    """Load a key: from the disk tier, or from its source into the disk tier and from there."""

    key: Hashable
    from_disk: bool


@dataclass(frozen=True, slots=True)
class Evict:
    """Drop a key from a tier."""

    key: Hashable
    tier: Literal["host", "disk"]


@dataclass(frozen=True, slots=True)
class Grant:
    """Tell a ticket that it has its lease."""

    ticket: Hashable


@dataclass(frozen=True, slots=True)
class Fail:
    """Tell a ticket that a key could not be loaded; it holds nothing any more."""

    ticket: Hashable
    key: Hashable


Action = Load | Evict | Grant | Fail


@dataclass(slots=True, eq=False)
class _Ticket(Generic[Key]):
    needs: Mapping[Key, Sizes]
    outstanding: set[Key] = field(default_factory=set)
    passed: int = 0


class ConceptCache(Generic[Key]):
    """The books of both tiers, and the tickets."""

    def __init__(self, *, host_bytes: int, disk_bytes: int) -> None:
        self.host: CacheTier[Key] = CacheTier(host_bytes)
        self.disk: CacheTier[Key] = CacheTier(disk_bytes)
        self.lookups: Counter[str] = Counter()
        """How often a needed key was found in "host", already "loading", on "disk", or had to come
        from its "source"."""
        self._waiting: dict[Hashable, _Ticket[Key]] = {}
        self._leased: dict[Hashable, _Ticket[Key]] = {}
        self._loading: set[Key] = set()

    @property
    def tickets(self) -> int:
        """How many tickets wait, or hold a lease."""
        return len(self._waiting) + len(self._leased)

    def request(self, ticket: Hashable, needs: Mapping[Key, Sizes]) -> list[Action]:
        """Ask for a lease; `Grant` or `Fail` follows, now or later, unless it is released first.

        Raises:
            ConfigError: The keys would not fit in even alone.
        """
        for name, tier in (("host", self.host), ("disk", self.disk)):
            total = sum(getattr(sizes, name) for sizes in needs.values())
            if total > tier.budget_bytes:
                raise ConfigError(
                    f"the {len(needs)} concepts asked for take {total} bytes of {name} cache, of "
                    f"which there are {tier.budget_bytes}; ask for fewer at once"
                )
        assert ticket not in self._waiting
        assert ticket not in self._leased
        self._waiting[ticket] = _Ticket(needs)
        return self._advance()

    def loaded(self, key: Key, host_bytes: int) -> list[Action]:
        """Note that a load is done.

        Args:
            key: The key that was loaded.
            host_bytes: What its value takes in memory; more than was promised is a failure.
        """
        if host_bytes > self.host.size_bytes(key):
            return self.failed(key)
        self._loading.remove(key)
        self.host.unpin(key)
        self.disk.unpin(key)
        self.host.shrink(key, host_bytes)
        actions: list[Action] = []
        for ticket, state in self._leased.items():
            if key in state.outstanding:
                state.outstanding.remove(key)
                if not state.outstanding:
                    actions.append(Grant(ticket))
        return actions + self._advance()

    def failed(self, key: Key) -> list[Action]:
        """Note that a load has failed: all tickets that wait for it fail, later ones try again."""
        self._loading.remove(key)
        self.host.unpin(key)
        self.disk.unpin(key)
        actions: list[Action] = []
        for ticket, state in list(self._leased.items()):
            if key in state.outstanding:
                self._unlease(ticket)
                actions.append(Fail(ticket, key))
        self.host.remove(key)
        # The copy may be the reason.
        self.disk.remove(key)
        return [*actions, Evict(key, "disk"), *self._advance()]

    def release(self, ticket: Hashable) -> list[Action]:
        """Give a lease back, or stop waiting for it; once is enough, more do no harm."""
        if self._waiting.pop(ticket, None) is None and ticket in self._leased:
            self._unlease(ticket)
        return self._advance()

    def _advance(self) -> list[Action]:
        actions: list[Action] = []
        blocked: _Ticket[Key] | None = None
        for ticket, state in list(self._waiting.items()):
            if blocked is None:
                if not self._lease(ticket, state, actions):
                    blocked = state
            elif blocked.passed >= _MAX_PASSED:
                break
            elif all(key in self.host for key in state.needs):
                self._lease(ticket, state, actions)
                blocked.passed += 1
        return actions

    def _lease(self, ticket: Hashable, state: _Ticket[Key], actions: list[Action]) -> bool:
        """Pin all that a ticket needs, and start to load what is missing, if there is room."""
        missing = {key: sizes for key, sizes in state.needs.items() if key not in self.host}
        unfetched = {key: sizes.disk for key, sizes in missing.items() if key not in self.disk}
        host_victims = self.host.victims(
            {key: sizes.host for key, sizes in missing.items()}, keep=state.needs
        )
        disk_victims = self.disk.victims(unfetched, keep=missing)
        if host_victims is None or disk_victims is None:
            return False
        for key in host_victims:
            self.host.remove(key)
            actions.append(Evict(key, "host"))
        for key in disk_victims:
            self.disk.remove(key)
            actions.append(Evict(key, "disk"))
        for key, sizes in missing.items():
            self.host.add(key, sizes.host)
            self.host.pin(key)
            if key in unfetched:
                self.disk.add(key, sizes.disk)
            self.disk.pin(key)
            self.disk.touch(key)
            actions.append(Load(key, from_disk=key not in unfetched))
            self.lookups["source" if key in unfetched else "disk"] += 1
        for key in state.needs:
            self.host.pin(key)
            self.host.touch(key)
            if key not in missing:
                self.lookups["loading" if key in self._loading else "host"] += 1
        self._loading.update(missing)
        state.outstanding = self._loading & set(state.needs)
        del self._waiting[ticket]
        self._leased[ticket] = state
        if not state.outstanding:
            actions.append(Grant(ticket))
        return True

    def _unlease(self, ticket: Hashable) -> None:
        for key in self._leased.pop(ticket).needs:
            self.host.unpin(key)
