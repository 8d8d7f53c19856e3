"""Pictures behind URLs, for a stated time and within a budget. Plain Python."""

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

__all__ = ["Linked", "PictureLinks"]


class Linked(NamedTuple):
    """What lies behind a URL."""

    data: bytes
    media_type: str
    ends_at: float


class PictureLinks:
    """Pictures by unguessable names; for several threads."""

    def __init__(
        self, *, keep_s: float, budget_bytes: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Keep nothing yet.

        Args:
            keep_s: How long a picture is kept.
            budget_bytes: What all pictures may take together; over it the oldest go first.
            clock: Returns the time in seconds, from any origin.
        """
        self.keep_s = keep_s
        self._budget_bytes = budget_bytes
        self._clock = clock
        self._kept: OrderedDict[str, Linked] = OrderedDict()
        self._used_bytes = 0
        self._lock = threading.Lock()

    def put(self, data: bytes, media_type: str) -> str:
        """Keep a picture; returns its name."""
        name = secrets.token_urlsafe(24)
        with self._lock:
            self._kept[name] = Linked(data, media_type, self._clock() + self.keep_s)
            self._used_bytes += len(data)
            self._drop()
        return name

    def get(self, name: str) -> Linked | None:
        """Return a picture, or None when it is not kept any more."""
        with self._lock:
            self._drop()
            return self._kept.get(name)

    def _drop(self) -> None:
        now = self._clock()
        while self._kept:
            oldest = next(iter(self._kept.values()))
            if oldest.ends_at > now and self._used_bytes <= self._budget_bytes:
                return
            self._kept.popitem(last=False)
            self._used_bytes -= len(oldest.data)
