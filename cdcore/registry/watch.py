"""Following a registry: what has changed since the last look, for one listing a look.

A pointer is read again when its size or time differs. A store's clock may be coarse (S3 counts
seconds), so two writes within one tick can look the same: a pointer is also read again at every
look until its size and time have stood for longer than a tick.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from cdcore.errors import RegistryError
from cdcore.registry.entry import POINTERS, RegistryEntry, pointer_name
from cdcore.registry.object_store import ObjectStat
from cdcore.registry.registry import Registry

__all__ = ["RegistryChanges", "RegistryWatch"]

_SETTLED_S = 2.0
"""Longer than the coarsest clock's tick."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RegistryChanges:
    """What differs from the look before.

    Attributes:
        published: New concepts, and those that stand for another version or history.
        removed: Names that stand for nothing any more.
        damaged: Why a pointer cannot be read, by name, at each look until it is mended; what it
            stood for before counts as unchanged.
    """

    published: dict[str, RegistryEntry] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)
    damaged: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Seen:
    stat: ObjectStat
    since_s: float
    is_settled: bool = False
    entry: RegistryEntry | None = None


class RegistryWatch:
    """One follower; not for several threads."""

    def __init__(self, registry: Registry, clock: Callable[[], float] = time.monotonic) -> None:
        """Follow a registry from nothing: the first look finds every concept published.

        Args:
            registry: To follow.
            clock: Seconds, from any origin.
        """
        self._registry = registry
        self._clock = clock
        self._seen: dict[str, _Seen] = {}

    def look(self) -> RegistryChanges:
        """Return what has changed: one listing, and one small read for each changed pointer.

        Raises:
            OSError: The store cannot be reached; what was not yet told is told by a later look.
        """
        listing = self._registry.store.listing(POINTERS)
        stats = {name: stat for file, stat in listing.items() if (name := pointer_name(file))}
        for name, stat in stats.items():
            seen = self._seen.get(name)
            if seen is None or seen.stat != stat:
                entry = None if seen is None else seen.entry
                self._seen[name] = _Seen(stat, self._clock(), entry=entry)
        # All is read before anything is told: an error between loses no change.
        found = {name: self._read(name) for name in stats if not self._seen[name].is_settled}
        changes = RegistryChanges()
        for name, (entry, damage, read_s) in found.items():
            seen = self._seen[name]
            if damage:
                changes.damaged[name] = damage
            elif entry is None:
                stats.pop(name)
            else:
                if entry != seen.entry:
                    changes.published[name] = entry
                seen.entry, seen.is_settled = entry, read_s - seen.since_s > _SETTLED_S
        for name in self._seen.keys() - stats.keys():
            if self._seen.pop(name).entry is not None:
                changes.removed.add(name)
        return changes

    def _read(self, name: str) -> tuple[RegistryEntry | None, str, float]:
        """Return the entry if there is one, what is wrong with it, and when it was read."""
        started_s = self._clock()
        try:
            return self._registry.read_entry(name), "", started_s
        except FileNotFoundError:
            return None, "", started_s
        except RegistryError as error:
            return None, str(error), started_s
