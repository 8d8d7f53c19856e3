"""A request on its way through the engine, and the end of it that its client holds."""

import queue
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from torch import Tensor

from cdcore.errors import ServingError
from cdcore.sampling.solvers import Plan
from serve.concepts.preparation import Preparation
from serve.engine.conditioning import Conditioning
from serve.engine.request import Done, Event, Failed, Picture, PictureRequest, Preview, Sink

__all__ = ["Result", "Ticket", "Work"]


@dataclass(kw_only=True, slots=True, eq=False)
class Work:
    """What the engine knows of a request.

    Attributes:
        key: The request's unique name.
        request: What is asked for.
        plan: The steps of each picture.
        size: (width, height) in pixels.
        sink: Where events go.
        offered_at: When the request came.
        offered_turn: How many turns had ended when it came.
        found_free_row: Whether a row was free and nobody waited when it came.
        preparation: The loading and merging of its concepts, until there is a conditioning.
        conditioning: Its keys and values, once they are known.
        joined_at: When its first row joined.
        joined_turn: How many turns had ended when its first row joined.
    """

    key: str
    request: PictureRequest
    plan: Plan
    size: tuple[int, int]
    sink: Sink
    offered_at: float
    offered_turn: int
    found_free_row: bool
    preparation: Preparation | None = None
    conditioning: Conditioning | None = None
    joined_at: float = 0.0
    joined_turn: int = 0

    @property
    def done(self) -> Done:
        """What the client hears at the end."""
        assert self.conditioning is not None
        return Done(
            residuals=self.conditioning.residuals,
            found_free_row=self.found_free_row,
            turns_waited=self.joined_turn - self.offered_turn,
            waited_s=self.joined_at - self.offered_at,
        )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Result:
    """All that a request has led to.

    Attributes:
        pictures: (3, H, W) float32 in [-1, 1] on the CPU, in the order of the seeds.
        previews: All previews, in the order they came.
        done: What the client heard at the end.
    """

    pictures: tuple[Tensor, ...]
    previews: tuple[Preview, ...]
    done: Done


class Ticket:
    """A client's end of a request."""

    def __init__(self, cancel: Callable[[str], None]) -> None:
        """Make one before the request is submitted, with `inbox.put` as its sink.

        Args:
            cancel: Takes back the request that has a key.
        """
        self.key = ""
        """The request's key, once the request was submitted."""
        self.inbox: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._cancel = cancel

    def cancel(self) -> None:
        """Take the request back."""
        self._cancel(self.key)

    def events(self, timeout_s: float | None = None) -> Iterator[Event]:
        """Yield what happens, up to `Done` or `Failed`.

        Args:
            timeout_s: How long to wait for all of it, or None for ever.

        Raises:
            ServingError: The request took longer.
        """
        until = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            left = None if until is None else max(0.0, until - time.monotonic())
            try:
                event = self.inbox.get(timeout=left)
            except queue.Empty:
                raise ServingError(f"nothing came within {timeout_s} s") from None
            yield event
            if isinstance(event, Done | Failed):
                return

    def result(self, timeout_s: float | None = None) -> Result:
        """Wait for everything.

        Raises:
            CustomDiffusionError: Why the request has failed.
        """
        pictures: dict[int, Tensor] = {}
        previews: list[Preview] = []
        for event in self.events(timeout_s):
            match event:
                case Picture():
                    pictures[event.number] = event.pixels
                case Preview():
                    previews.append(event)
                case Failed():
                    raise event.error
                case Done():
                    ordered = tuple(pictures[number] for number in sorted(pictures))
                    return Result(pictures=ordered, previews=tuple(previews), done=event)
        raise AssertionError
