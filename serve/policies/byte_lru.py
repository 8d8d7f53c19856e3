"""A cache with a byte budget: the least recently used values go first.

It holds what is cheap to make again and needs no lease: finished prompts' keys and values, merges,
updates on the device. Who took a value keeps it alive; the budget bounds what the cache keeps.
Plain Python, for several threads.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

__all__ = ["ByteLRU"]

Value = TypeVar("Value")


class ByteLRU(Generic[Value]):
    """Values by key; `None` is no value."""

    def __init__(self, budget_bytes: int) -> None:
        """Make an empty cache.

        Args:
            budget_bytes: What the values may take together; with 0 none is kept.
        """
        self.budget_bytes = budget_bytes
        self._values: OrderedDict[Hashable, tuple[Value, int]] = OrderedDict()
        self._used_bytes = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """How many values are kept."""
        return len(self._values)

    @property
    def used_bytes(self) -> int:
        """What the values take; never more than the budget."""
        return self._used_bytes

    def get(self, key: Hashable) -> Value | None:
        """Return a value, which becomes the most recently used, or None."""
        with self._lock:
            found = self._values.get(key)
            if found is None:
                return None
            self._values.move_to_end(key)
            return found[0]

    def put(self, key: Hashable, value: Value, size_bytes: int) -> None:
        """Keep a value, unless it alone passes the budget."""
        with self._lock:
            self._make_room(key, size_bytes)
            if size_bytes <= self.budget_bytes:
                self._values[key] = value, size_bytes
                self._used_bytes += size_bytes

    def get_or_make(self, key: Hashable, size_bytes: int, make: Callable[[], Value]) -> Value:
        """Return a value, made when it is not here.

        Args:
            key: What the value is kept under.
            size_bytes: What the value takes, or will take.
            make: Makes the value; there is room in the budget before it is called.
        """
        value = self.get(key)
        if value is None:
            with self._lock:
                self._make_room(key, size_bytes)
            value = make()
            self.put(key, value, size_bytes)
        return value

    def _make_room(self, key: Hashable, size_bytes: int) -> None:
        _, replaced = self._values.pop(key, (None, 0))
        self._used_bytes -= replaced
        # A value that will not be kept drives nothing out.
        if size_bytes > self.budget_bytes:
            return
        while self._used_bytes + size_bytes > self.budget_bytes:
            _, (_, freed) = self._values.popitem(last=False)
            self._used_bytes -= freed
