"""The work that has been admitted and is not done, and whether there is room for more.

Work is rows x steps; a row of a larger picture counts as the rows of the smallest size that it
displaces. The budget is never passed. A client that has work here already gets as much again as is
still free at most (dynamic thresholds, Choudhury and Hahne 1998): one client alone cannot fill the
queue, and a new one finds room. When work should be done follows from measured ticks.

Plain Python, not for several threads. Times are seconds of one clock.
"""

import math
from collections import Counter

from cdcore.errors import ConfigError, DeadlineError, OverloadedError
from serve.policies.job import Job, Limits, Size

__all__ = ["Backlog"]

_SMOOTHING = 0.1
"""Share of the newest tick in the running mean of tick times."""
_HOPE = 0.5
"""A deadline is given up when it could not be met at this share of the measured tick time."""
_FIRST_TICK_S = 0.5
"""What a tick is taken to last before one was measured."""
_MAX_RETRY_S = 600.0


class Backlog:
    """Admitted work, by size and client."""

    def __init__(self, limits: Limits) -> None:
        largest = max(limits.slots.values())
        self._limits = limits
        self._weights = {size: largest / slots for size, slots in limits.slots.items()}
        self._steps: Counter[Size] = Counter()
        self._client_steps: Counter[tuple[str, Size]] = Counter()
        self._tick_s: dict[Size, float] = {}

    @property
    def work(self) -> float:
        """All admitted work that is not done, row-steps of the smallest size."""
        return sum(self._weights[size] * steps for size, steps in self._steps.items())

    def work_of(self, client: str) -> float:
        """Return a client's part of the work, in the same unit."""
        return sum(self._weights[size] * self._client_steps[client, size] for size in self._weights)

    def cost(self, job: Job, steps: int | None = None) -> float:
        """Return what some row-steps of a job are worth, by default all of them."""
        return self._weights[job.size] * (job.rows * job.steps if steps is None else steps)

    def admit(self, job: Job, now: float) -> None:
        """Count a job's work, or refuse it.

        Raises:
            ConfigError: No engine of these limits could ever do it.
            DeadlineError: Its deadline is too near even for an idle engine.
            OverloadedError: There is no room for it now.
        """
        self._check_possible(job)
        if job.deadline is not None and self.is_hopeless(job.deadline, job.steps, job.size, now):
            raise DeadlineError(
                f"the deadline is in {job.deadline - now:.1f} s, {job.steps} steps take about "
                f"{job.steps * self.tick_s(job.size):.1f} s; allow more time or ask for fewer steps"
            )
        cost, work, own = self.cost(job), self.work, self.work_of(job.client)
        room = self._limits.backlog - work
        excess = max(cost - room, own + cost - room if own else 0.0)
        if excess > 0:
            wait_s = min(max(1.0, self.drain_s() * min(1.0, excess / work)), _MAX_RETRY_S)
            raise OverloadedError(
                f"{work:.0f} row-steps wait, {own:.0f} of them this client's; {cost:.0f} more "
                f"would pass its share of {self._limits.backlog}; come again in {wait_s:.0f} s",
                retry_after_s=wait_s,
            )
        self.count(job, job.rows * job.steps)

    def count(self, job: Job, steps: int) -> None:
        """Add row-steps of a job; negative ones are done, or will not be."""
        place = job.client, job.size
        self._steps[job.size] += steps
        self._client_steps[place] += steps
        if not self._client_steps[place]:
            del self._client_steps[place]

    def measure(self, size: Size, seconds: float) -> None:
        """Take note of how long a tick of a size took."""
        known = self._tick_s.get(size, seconds)
        self._tick_s[size] = known + _SMOOTHING * (seconds - known)

    def tick_s(self, size: Size) -> float:
        """Return the mean time of a tick of a size, recent ones counting most, seconds."""
        known = self._tick_s.get(size)
        if known is not None:
            return known
        return max(self._tick_s.values(), default=_FIRST_TICK_S)

    def drain_s(self) -> float:
        """Return how long all the work should take, seconds."""
        return sum(
            math.ceil(steps / self._limits.slots[size]) * self.tick_s(size)
            for size, steps in self._steps.items()
        )

    def is_hopeless(self, deadline: float, steps: int, size: Size, now: float) -> bool:
        """Whether some steps cannot be done by a deadline; in doubt they can."""
        measured = self._tick_s.get(size, 0.0)
        return now >= deadline or now + _HOPE * steps * measured > deadline

    def _check_possible(self, job: Job) -> None:
        if job.size not in self._weights:
            sizes = ", ".join(f"{width}x{height}" for width, height in self._weights)
            raise ConfigError(
                f"size {job.size[0]}x{job.size[1]} is not served; expected one of {sizes}"
            )
        cost = self.cost(job)
        if cost > self._limits.backlog:
            raise ConfigError(
                f"{job.rows} pictures of {job.steps} steps are {cost:.0f} row-steps, at most "
                f"{self._limits.backlog} are admitted; ask for fewer pictures or steps"
            )
