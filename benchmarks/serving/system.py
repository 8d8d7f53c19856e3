"""What a server of arrivals is to a benchmark, and where it notes what it has served."""

import threading
import time
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from torch import Tensor

from benchmarks.serving.load import Arrival
from cdcore.errors import ServingError
from serve.engine.request import Done

__all__ = ["Served", "System"]


class Served:
    """Where finished arrivals are noted; for several threads."""

    def __init__(self) -> None:
        self.finished_at: dict[int, float] = {}
        self.pictures: dict[int, Tensor] = {}
        self.done: dict[int, Done] = {}
        self.error: Exception | None = None
        self._changed = threading.Condition()

    def note(self, number: int, pixels: Tensor, done: Done | None = None) -> None:
        """Note a finished arrival."""
        with self._changed:
            self.finished_at[number] = time.monotonic()
            self.pictures[number] = pixels
            if done is not None:
                self.done[number] = done
            self._changed.notify_all()

    def fail(self, error: Exception) -> None:
        """Note that something went wrong: then the figures are worth nothing."""
        with self._changed:
            self.error = error
            self._changed.notify_all()

    def wait(self, count: int) -> None:
        """Wait until ``count`` arrivals are finished.

        Raises:
            ServingError: Something went wrong.
        """
        with self._changed:
            self._changed.wait_for(lambda: self.error or len(self.finished_at) >= count)
        if self.error is not None:
            raise ServingError(f"an arrival has failed: {self.error}") from self.error


class System(ABC):
    """A server."""

    @abstractmethod
    def submit(self, arrival: Arrival, served: Served) -> None:
        """Take an arrival in, and return at once."""

    @abstractmethod
    def close(self) -> None:
        """Stop."""

    def __enter__(self) -> Self:
        """Use it as a context."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """Stop."""
        self.close()
