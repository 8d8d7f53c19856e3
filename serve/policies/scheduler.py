"""What runs when: fair turns, picture sizes, deadlines, leaving at any time.

A job asks for some pictures, each a *row* of a batch for a number of steps. It passes through these
states; the engine reports what has happened and is told what to do:

    offered -> waiting -> preparing -> ready -> active, row by row -> undecoded -> done

- **Admission** is that of `serve.policies.backlog`.
- **Fairness** between clients is that of `serve.policies.fair_queue`; within a client the earliest
  deadline goes first, and a job without one counts as due a minute after it came.
- **Preparation** (concepts, merges) starts for few jobs of each size, in the fair order, so that
  waiting jobs hold nothing; no client takes more than half of these places.
- **Sizes** have rows of their own, so no size waits for another; sizes with active rows take turns.
- **Decoding** takes one picture between two ticks. When undecoded pictures pile up, no row joins.

Plain Python, not for several threads. Times are seconds of one clock.
"""

import bisect
from collections import Counter
from dataclasses import dataclass, field
from enum import Enum

from cdcore.errors import EngineStoppedError
from serve.policies.backlog import Backlog
from serve.policies.fair_queue import FairQueue
from serve.policies.job import Job, Limits, RowKey, Size

__all__ = ["JOINS_PER_TURN", "Scheduler"]

JOINS_PER_TURN = 4
"""Jobs that may join between two ticks; what they cost delays the others."""
_PATIENCE_S = 60.0
"""When a job without a deadline counts as due, after its arrival."""


class _State(Enum):
    WAITING = "waiting"
    PREPARING = "preparing"
    READY = "ready"


@dataclass(slots=True, eq=False)
class _Entry:
    job: Job
    state: _State = _State.WAITING
    start: float = 0.0
    joined: int = 0
    steps_left: dict[int, int] = field(default_factory=dict)
    undecoded: set[int] = field(default_factory=set)

    @property
    def holds_place(self) -> bool:
        """Whether the job is being prepared, or waits for a free row after that."""
        return self.state is not _State.WAITING and self.joined < self.job.rows

    @property
    def undone(self) -> int:
        """How many row-steps are still to do."""
        return (self.job.rows - self.joined) * self.job.steps + sum(self.steps_left.values())

    @property
    def longest(self) -> int:
        """How many steps its last row is away from the end, should all rows join now."""
        if self.joined < self.job.rows:
            return self.job.steps
        return max(self.steps_left.values(), default=0)


class Scheduler:
    """The jobs of one engine."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.backlog = Backlog(limits)
        self.is_draining = False
        """Whether every offer is refused."""
        self._entries: dict[str, _Entry] = {}
        self._queue: FairQueue[_Entry] = FairQueue()
        self._places: Counter[tuple[Size, str]] = Counter()
        self._ready: dict[Size, list[tuple[float, int, _Entry]]] = {s: [] for s in limits.slots}
        self._active: dict[Size, dict[RowKey, _Entry]] = {size: {} for size in limits.slots}
        self._last_turn: dict[Size, int] = dict.fromkeys(limits.slots, 0)
        self._turns = 0
        self._undecoded = 0
        self._arrivals = 0

    def __len__(self) -> int:
        """How many jobs are not done."""
        return len(self._entries)

    def __contains__(self, key: str) -> bool:
        """Whether a job is here and not done."""
        return key in self._entries

    @property
    def undecoded(self) -> int:
        """How many pictures have done their steps and wait to be decoded."""
        return self._undecoded

    @property
    def without_row(self) -> int:
        """How many jobs have no row that has joined yet."""
        return sum(entry.joined == 0 for entry in self._entries.values())

    @property
    def can_join(self) -> bool:
        """Whether `join` would find a row."""
        return any(rows and self._has_room(size) for size, rows in self._ready.items())

    def has_free_row(self, size: Size) -> bool:
        """Whether the batch of a size has a free row that nobody waits for."""
        is_awaited = any(entry.joined < entry.job.rows for entry in self._entries.values())
        return not is_awaited and len(self._active.get(size, ())) < self.limits.slots.get(size, 0)

    def active(self, size: Size) -> tuple[RowKey, ...]:
        """Return the rows that are in the batch of a size, in the order they joined."""
        return tuple(self._active[size])

    def offer(self, job: Job, now: float) -> None:
        """Admit a job, or refuse it.

        Raises:
            ConfigError: No engine of these limits could ever do it.
            DeadlineError: Its deadline is too near even for an idle engine.
            OverloadedError: There is no room for it now.
            EngineStoppedError: The engine drains.
        """
        if self.is_draining:
            raise EngineStoppedError("this engine is shutting down; send the request again")
        self.backlog.admit(job, now)
        entry = self._entries[job.key] = _Entry(job)
        due = now + _PATIENCE_S if job.deadline is None else job.deadline
        self._queue.push(job.size, job.client, entry, cost=self.backlog.cost(job), due=due)

    def start_preparing(self) -> list[str]:
        """Choose the jobs to be prepared from now on; `prepared` is to be called for each."""
        chosen = []
        for size, slots in self.limits.slots.items():
            # Half of the places fill every row, so one client alone can do that.
            half = slots + 1
            while self._places_of(size) < 2 * half:
                found = self._queue.pop(
                    size,
                    lambda client: self._places[size, client] < half,  # noqa: B023
                )
                if found is None:
                    break
                entry = found[0]
                entry.start = found[1]
                entry.state = _State.PREPARING
                self._places[size, entry.job.client] += 1
                chosen.append(entry.job.key)
        return chosen

    def prepared(self, key: str) -> None:
        """Let the rows of a prepared job join."""
        entry = self._entries[key]
        assert entry.state is _State.PREPARING
        entry.state = _State.READY
        self._await_row(entry)

    def join(self) -> list[RowKey]:
        """Choose the rows that join their batches now."""
        joining: list[RowKey] = []
        newcomers = 0
        for size in sorted(self._ready, key=lambda size: self._last_turn[size]):
            while self._has_room(size) and self._ready[size]:
                entry = self._ready[size][0][2]
                newcomers += entry.joined == 0
                if newcomers > JOINS_PER_TURN:
                    return joining
                del self._ready[size][0]
                joining.append(self._activate(entry))
        return joining

    def next_size(self) -> Size | None:
        """Return the size whose batch is to take a step: that which had its turn longest ago."""
        sizes = [size for size, rows in self._active.items() if rows]
        return min(sizes, key=lambda size: self._last_turn[size], default=None)

    def ticked(self, size: Size, seconds: float) -> list[RowKey]:
        """Count one step of every active row of a size.

        Args:
            size: The size whose batch took the step.
            seconds: How long the step took.

        Returns:
            The rows whose steps are all done; each must be decoded.
        """
        self._turns += 1
        self._last_turn[size] = self._turns
        self.backlog.measure(size, seconds)
        finished = []
        for (key, row), entry in list(self._active[size].items()):
            self.backlog.count(entry.job, -1)
            entry.steps_left[row] -= 1
            if entry.steps_left[row] == 0:
                del entry.steps_left[row], self._active[size][key, row]
                entry.undecoded.add(row)
                self._undecoded += 1
                finished.append((key, row))
        return finished

    def decoded(self, row: RowKey) -> bool:
        """Count a decoded picture; whether it was the last of its job, which is done then."""
        entry = self._entries[row[0]]
        entry.undecoded.remove(row[1])
        self._undecoded -= 1
        if entry.undecoded or entry.undone:
            return False
        self._forget(entry)
        return True

    def remove(self, key: str) -> int:
        """Take a job out, in whatever state; its rows are free at once.

        Returns:
            How many row-steps were not done; 0 for a job that is not here.
        """
        entry = self._entries.get(key)
        if entry is None:
            return 0
        undone, size, client = entry.undone, entry.job.size, entry.job.client
        if entry.state is _State.WAITING:
            self._queue.remove(entry)
        else:
            self._places[size, client] -= entry.holds_place
            self._queue.refund(client, self.backlog.cost(entry.job, undone))
        self._ready[size] = [item for item in self._ready[size] if item[2] is not entry]
        for row in entry.steps_left:
            del self._active[size][key, row]
        self._undecoded -= len(entry.undecoded)
        self.backlog.count(entry.job, -undone)
        self._forget(entry)
        return undone

    def hopeless(self, now: float) -> list[str]:
        """Return the jobs that cannot meet their deadline any more."""
        return [
            key
            for key, entry in self._entries.items()
            if entry.job.deadline is not None
            and self.backlog.is_hopeless(entry.job.deadline, entry.longest, entry.job.size, now)
        ]

    def next_deadline(self) -> float | None:
        """Return the earliest deadline of any job."""
        deadlines = [entry.job.deadline for entry in self._entries.values()]
        return min((at for at in deadlines if at is not None), default=None)

    def _places_of(self, size: Size) -> int:
        return sum(count for (of, _), count in self._places.items() if of == size)

    def _has_room(self, size: Size) -> bool:
        is_behind = self._undecoded >= max(self.limits.slots.values())
        return not is_behind and len(self._active[size]) < self.limits.slots[size]

    def _await_row(self, entry: _Entry) -> None:
        """Put a job's next row in its place; rows of wide jobs alternate with other jobs'."""
        self._arrivals += 1
        start = entry.start + self.backlog.cost(entry.job, entry.joined * entry.job.steps)
        waiting = start, self._arrivals, entry
        bisect.insort(self._ready[entry.job.size], waiting, key=lambda waiting: waiting[:2])

    def _activate(self, entry: _Entry) -> RowKey:
        row = entry.job.key, entry.joined
        entry.steps_left[entry.joined] = entry.job.steps
        entry.joined += 1
        self._active[entry.job.size][row] = entry
        if entry.joined < entry.job.rows:
            self._await_row(entry)
        else:
            self._places[entry.job.size, entry.job.client] -= 1
        return row

    def _forget(self, entry: _Entry) -> None:
        del self._entries[entry.job.key]
        place = entry.job.size, entry.job.client
        if not self._places[place]:
            del self._places[place]
        if not self._entries:
            self._queue.reset()
