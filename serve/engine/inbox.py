"""The engine's inbox: where clients and loading threads leave what the engine's thread picks up.

All books (`serve.policies.scheduler`, the requests and their preparations) are changed under one
lock. None of it touches the device, so a client waits for bookkeeping at most, never for a tick.
"""

import threading
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from functools import partial

from cdcore.errors import (
    CustomDiffusionError,
    DeadlineError,
    EngineStoppedError,
    RequestCancelledError,
)
from cdcore.sampling.solvers import Plan
from serve.concepts.preparation import Preparation, Preparer
from serve.engine.conditioning import Conditioner
from serve.engine.request import PictureRequest, Sink
from serve.engine.work import Work
from serve.policies.job import Job, Limits, RowKey, Size
from serve.policies.scheduler import Scheduler

__all__ = ["Inbox", "StepPlan"]

_COUNTED = ("offered", "refused", "done", "failed", "cancelled", "turns", "cancelled_steps")


@dataclass(kw_only=True, slots=True, eq=False)
class StepPlan:
    """What the engine's thread is to do now.

    Attributes:
        failed: Requests that have left, and why.
        active: The rows that are to be in the batch of each size.
        size: Whose batch takes a step; None when there is none.
    """

    failed: list[tuple[Work, CustomDiffusionError]]
    active: dict[Size, dict[RowKey, Work]] = field(default_factory=dict)
    size: Size | None = None


class Inbox:
    """The books of one engine."""

    def __init__(self, limits: Limits, preparer: Preparer, conditioner: Conditioner) -> None:
        """Open the inbox.

        Args:
            limits: How much the scheduler does at once.
            preparer: Loads and merges concepts.
            conditioner: Knows finished prompts.
        """
        self.counts: Counter[str] = Counter()
        """Requests "offered", "refused", "done", "failed" and "cancelled"; "turns"; and row-steps
        "cancelled_steps" that were spared."""
        self.tick_seconds = 0.0
        """How long turns with a tick took until its end, added up."""
        self.turn_started_at: float | None = None
        """When the engine's thread began the turn it is in; None while it waits for work."""
        self.error: EngineStoppedError | None = None
        """Why nothing is accepted any more."""
        self._scheduler = Scheduler(limits)
        self._preparer = preparer
        self._conditioner = conditioner
        self._work: dict[str, Work] = {}
        self._settled: list[str] = []
        self._cancelled: list[str] = []
        self._changed = threading.Condition()

    def submit(self, request: PictureRequest, plan: Plan, size: tuple[int, int], sink: Sink) -> str:
        """Take a request in, and begin to prepare it if its turn is near.

        Args:
            request: What is asked for.
            plan: The steps of each of its pictures.
            size: (width, height) in pixels.
            sink: Where events go.

        Returns:
            The key of the request.

        Raises:
            CustomDiffusionError: As for `Scheduler.offer`.
        """
        now = time.monotonic()
        key = uuid.uuid4().hex
        job = Job(
            key=key,
            client=request.client,
            size=size,
            rows=len(request.seeds),
            steps=request.steps,
            deadline=None if request.deadline_s is None else now + request.deadline_s,
        )
        with self._changed:
            if self.error is not None:
                raise EngineStoppedError(str(self.error))
            found_free_row = self._scheduler.has_free_row(size)
            try:
                self._scheduler.offer(job, now)
            except CustomDiffusionError:
                self.counts["refused"] += 1
                raise
            self.counts["offered"] += 1
            self._work[key] = Work(
                key=key,
                request=request,
                plan=plan,
                size=size,
                sink=sink,
                offered_at=now,
                offered_turn=self.counts["turns"],
                found_free_row=found_free_row,
            )
            self._prepare()
            self._changed.notify_all()
        return key

    def cancel(self, key: str) -> None:
        """Let a request leave at the next turn; one that has ended is left alone."""
        with self._changed:
            if key in self._work:
                self._cancelled.append(key)
                self._changed.notify_all()

    def await_turn(self, *, has_other_work: bool) -> StepPlan | None:
        """Wait until there is something to do.

        Args:
            has_other_work: Whether the thread has something to do in any case.

        Returns:
            What to do, or None when the inbox has been closed.
        """
        with self._changed:
            self.turn_started_at = None
            self._prepare()
            while not (has_other_work or self._has_work()):
                self._changed.wait(self._patience_s())
                self._prepare()
            if self.error is not None:
                return None
            self.turn_started_at = time.monotonic()
            step_plan = StepPlan(failed=self._leave(self.turn_started_at))
            for key, row in self._scheduler.join():
                if row == 0:
                    work = self._work[key]
                    work.joined_at, work.joined_turn = time.monotonic(), self.counts["turns"]
            step_plan.size = self._scheduler.next_size()
            for size in self._scheduler.limits.slots:
                rows = self._scheduler.active(size)
                step_plan.active[size] = {row: self._work[row[0]] for row in rows}
            self.counts["turns"] += 1
            return step_plan

    def ticked(self, size: Size) -> list[tuple[RowKey, Work]]:
        """Count one step of each active row of a size; returns those whose steps are all done."""
        with self._changed:
            assert self.turn_started_at is not None
            seconds = time.monotonic() - self.turn_started_at
            self.tick_seconds += seconds
            return [(row, self._work[row[0]]) for row in self._scheduler.ticked(size, seconds)]

    def measure(self, size: Size, seconds: float) -> None:
        """Take note of how long a tick of a size takes, before there was any."""
        with self._changed:
            self._scheduler.backlog.measure(size, seconds)

    def decoded(self, row: RowKey) -> Work | None:
        """Count a decoded picture; returns its request if that is done now."""
        with self._changed:
            if row[0] not in self._work or not self._scheduler.decoded(row):
                return None
            self.counts["done"] += 1
            work = self._work.pop(row[0])
            self._changed.notify_all()
            return work

    def is_open(self, key: str) -> bool:
        """Whether a request is here and has not ended."""
        return key in self._work

    def fail(
        self, key: str, error: CustomDiffusionError
    ) -> list[tuple[Work, CustomDiffusionError]]:
        """Take a request out, whatever it is at; nothing where it has ended already."""
        with self._changed:
            work = self._work.pop(key, None)
            if work is None:
                return []
            undone = self._scheduler.remove(key)
            if isinstance(error, RequestCancelledError):
                self.counts["cancelled_steps"] += undone
                self.counts["cancelled"] += 1
            else:
                self.counts["failed"] += 1
            self.release(work)
            self._changed.notify_all()
            return [(work, error)]

    def release(self, work: Work) -> None:
        """Return what a request's preparation holds."""
        if work.preparation is not None:
            self._preparer.release(work.preparation)

    def drain(self, timeout_s: float) -> bool:
        """Refuse what comes and wait for what is here; whether all of it is done."""
        with self._changed:
            self._scheduler.is_draining = True
            return self._changed.wait_for(lambda: not self._work, timeout_s)

    def close(self, error: EngineStoppedError) -> None:
        """Accept nothing more; `await_turn` returns None from now on."""
        with self._changed:
            if self.error is None:
                self.error = error
            self._changed.notify_all()

    def clear(self) -> list[tuple[Work, CustomDiffusionError]]:
        """Take out all that is here, once the inbox is closed."""
        with self._changed:
            assert self.error is not None
            error = self.error
            return [gone for key in list(self._work) for gone in self.fail(key, error)]

    def figures(self) -> dict[str, float]:
        """Return figures for monitoring, of one moment."""
        with self._changed:
            scheduler = self._scheduler
            return {
                "backlog_row_steps": scheduler.backlog.work,
                "drain_seconds": scheduler.backlog.drain_s(),
                "requests": len(scheduler),
                "requests_without_row": scheduler.without_row,
                "undecoded_pictures": scheduler.undecoded,
                "tick_seconds": self.tick_seconds,
                "active_rows": sum(len(scheduler.active(s)) for s in scheduler.limits.slots),
                **{name: self.counts[name] for name in _COUNTED},
            }

    def _has_work(self) -> bool:
        scheduler = self._scheduler
        is_late = self._patience_s() == 0
        has_mail = bool(self._settled or self._cancelled) or self.error is not None
        return has_mail or is_late or scheduler.next_size() is not None or scheduler.can_join

    def _patience_s(self) -> float | None:
        """Return how long nothing can be due: until the next deadline, or for ever."""
        deadline = self._scheduler.next_deadline()
        return None if deadline is None else max(0.0, deadline - time.monotonic())

    def _leave(self, now: float) -> list[tuple[Work, CustomDiffusionError]]:
        """Take out the cancelled, the late, and those that could not be prepared."""
        failed: list[tuple[Work, CustomDiffusionError]] = []
        settled, self._settled = self._settled, []
        cancelled, self._cancelled = self._cancelled, []
        for key in cancelled:
            failed += self.fail(key, RequestCancelledError("the request was taken back"))
        for key in self._scheduler.hopeless(now):
            failed += self.fail(
                key, DeadlineError("the deadline has passed, or cannot be met any more")
            )
        for key in settled:
            work = self._work.get(key)
            if work is None:
                continue
            if work.preparation is not None and work.preparation.error is not None:
                failed += self.fail(key, work.preparation.error)
            else:
                self._scheduler.prepared(key)
        return failed

    def _prepare(self) -> None:
        """Begin with the requests whose turn is near."""
        for key in self._scheduler.start_preparing():
            work = self._work[key]
            work.conditioning = self._conditioner.recall(work.request)
            if work.conditioning is not None:
                self._scheduler.prepared(key)
                continue
            work.preparation = Preparation(work.request.mix, partial(self._note, key))
            self._preparer.start(work.preparation)

    def _note(self, key: str) -> None:
        with self._changed:
            self._settled.append(key)
            self._changed.notify_all()
