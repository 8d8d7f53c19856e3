"""The books of one cache tier: what lies there, how large, how recently used, and what is pinned.

Plain Python, not for several threads.
"""

from collections import Counter, OrderedDict
from collections.abc import Collection, Hashable, Mapping
from typing import Generic, TypeVar

__all__ = ["CacheTier"]

Key = TypeVar("Key", bound=Hashable)


class CacheTier(Generic[Key]):
    """Keys and their sizes within a byte budget."""

    def __init__(self, budget_bytes: int) -> None:
        self.budget_bytes = budget_bytes
        self._sizes: OrderedDict[Key, int] = OrderedDict()
        self._pins: Counter[Key] = Counter()
        self._used_bytes = 0

    def __contains__(self, key: Key) -> bool:
        """Whether a key lies here, or a place is kept for it."""
        return key in self._sizes

    def __len__(self) -> int:
        """How many keys there are."""
        return len(self._sizes)

    @property
    def used_bytes(self) -> int:
        """All sizes together; never more than the budget."""
        return self._used_bytes

    @property
    def pinned(self) -> frozenset[Key]:
        """The keys that must stay."""
        return frozenset(self._pins)

    def size_bytes(self, key: Key) -> int:
        """Return the size of a key."""
        return self._sizes[key]

    def victims(self, wanted: Mapping[Key, int], keep: Collection[Key]) -> list[Key] | None:
        """Choose what must go so that new keys fit in, the least recently used first.

        Args:
            wanted: Sizes of new keys.
            keep: Keys that are not to go, besides those that are pinned.

        Returns:
            The keys to remove, or None when even that would not make enough room.
        """
        excess = self._used_bytes + sum(wanted.values()) - self.budget_bytes
        chosen = []
        for key, size in self._sizes.items():
            if excess <= 0:
                break
            if size and not self._pins[key] and key not in keep:
                chosen.append(key)
                excess -= size
        return chosen if excess <= 0 else None

    def add(self, key: Key, size_bytes: int) -> None:
        """Enter a key that fits in, as the most recently used."""
        assert key not in self._sizes
        self._sizes[key] = size_bytes
        self._used_bytes += size_bytes
        assert self._used_bytes <= self.budget_bytes

    def shrink(self, key: Key, size_bytes: int) -> None:
        """Correct the size of a key, which is at most what it was entered with."""
        assert size_bytes <= self._sizes[key]
        self._used_bytes -= self._sizes[key] - size_bytes
        self._sizes[key] = size_bytes

    def remove(self, key: Key) -> None:
        """Strike a key out; it is not pinned."""
        assert not self._pins[key]
        self._used_bytes -= self._sizes.pop(key)

    def touch(self, key: Key) -> None:
        """Make a key the most recently used."""
        self._sizes.move_to_end(key)

    def pin(self, key: Key) -> None:
        """Let a key stay until it has been unpinned as often as pinned."""
        assert key in self._sizes
        self._pins[key] += 1

    def unpin(self, key: Key) -> None:
        """Take one pin back."""
        self._pins[key] -= 1
        if not self._pins[key]:
            del self._pins[key]
