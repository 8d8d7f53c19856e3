"""The life of a scheduler: any order of what can happen, checked against plain books."""

from collections import Counter

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cdcore.errors import ServingError
from serve.policies.job import Job, Limits, RowKey, Size
from serve.policies.scheduler import JOINS_PER_TURN, Scheduler

__all__ = ["LARGE", "LIMITS", "SLOTS", "SMALL", "Life", "job", "take_turn"]

SMALL, LARGE = (64, 64), (128, 64)
SLOTS = {SMALL: 4, LARGE: 2}
LIMITS = Limits(slots=SLOTS, backlog=400)


def job(key: str, client: str = "a", *, size: Size = SMALL, rows: int = 1, steps: int = 3) -> Job:
    return Job(key=key, client=client, size=size, rows=rows, steps=steps)


def take_turn(scheduler: Scheduler) -> tuple[list[RowKey], list[RowKey]]:
    """One turn of an engine whose concepts are all at hand; rows that joined, rows decoded."""
    for key in scheduler.start_preparing():
        scheduler.prepared(key)
    joined = scheduler.join()
    size = scheduler.next_size()
    finished = [] if size is None else scheduler.ticked(size, 0.01)
    for row in finished:
        scheduler.decoded(row)
    return joined, finished


class Life(RuleBasedStateMachine):
    """Any order of arrivals, preparations, ticks, decodes, cancels and failures."""

    def __init__(self) -> None:
        super().__init__()
        self.scheduler = Scheduler(LIMITS)
        self.now = 0.0
        self.jobs: dict[str, Job] = {}
        self.steps_done: Counter[RowKey] = Counter()
        self.decoded: Counter[str] = Counter()
        self.preparing: list[str] = []
        self.undecoded: list[RowKey] = []
        self.joined: Counter[str] = Counter()
        self.count = 0

    @rule(
        client=st.sampled_from("abc"),
        size=st.sampled_from([SMALL, LARGE]),
        rows=st.integers(1, 5),
        steps=st.integers(1, 6),
        allowance=st.none() | st.floats(0.0, 3.0),
    )
    def offer(
        self, client: str, size: Size, rows: int, steps: int, allowance: float | None
    ) -> None:
        self.count += 1
        deadline = None if allowance is None else self.now + allowance
        new = Job(
            key=str(self.count), client=client, size=size, rows=rows, steps=steps, deadline=deadline
        )
        try:
            self.scheduler.offer(new, self.now)
        except ServingError:
            assert new.key not in self.scheduler
        else:
            self.jobs[new.key] = new

    @rule()
    def start_preparing(self) -> None:
        started = self.scheduler.start_preparing()
        assert not set(started) & set(self.preparing)
        self.preparing += started

    @precondition(lambda self: self.preparing)
    @rule(data=st.data())
    def prepared(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(self.preparing))
        self.preparing.remove(key)
        self.scheduler.prepared(key)

    @rule()
    def join(self) -> None:
        could_join = self.scheduler.can_join
        joined = self.scheduler.join()
        assert could_join == bool(joined)
        assert len({key for key, row in joined if row == 0}) <= JOINS_PER_TURN
        self.joined.update(key for key, _ in joined)

    @rule(turns=st.integers(1, 6))
    def run(self, turns: int) -> None:
        """Take whole turns without decoding, so that many jobs get far."""
        for _ in range(turns):
            self.start_preparing()
            while self.preparing:
                self.scheduler.prepared(self.preparing.pop(0))
            self.join()
            self.tick(0.01)

    @rule(seconds=st.floats(0.001, 0.2))
    def tick(self, seconds: float) -> None:
        size = self.scheduler.next_size()
        if size is None:
            assert not any(self.scheduler.active(size) for size in SLOTS)
            return
        rows = self.scheduler.active(size)
        self.steps_done.update(rows)
        finished = self.scheduler.ticked(size, seconds)
        assert finished == [row for row in rows if self.steps_done[row] == self.jobs[row[0]].steps]
        self.undecoded += finished
        self.now += seconds

    @precondition(lambda self: self.undecoded)
    @rule()
    def decode(self) -> None:
        row = self.undecoded.pop(0)
        self.decoded[row[0]] += 1
        is_done = self.decoded[row[0]] == self.jobs[row[0]].rows
        assert self.scheduler.decoded(row) == is_done
        if is_done:
            del self.jobs[row[0]]

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def cancel_or_fail(self, data: st.DataObject) -> None:
        self.remove(data.draw(st.sampled_from(sorted(self.jobs))))

    @rule(seconds=st.floats(0.0, 2.0))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        hopeless = self.scheduler.hopeless(self.now)
        assert hopeless == [key for key in self.jobs if self.is_late(self.jobs[key])]
        for key in hopeless:
            self.remove(key)
        upcoming = self.scheduler.next_deadline()
        deadlines = [job.deadline for job in self.jobs.values() if job.deadline is not None]
        assert upcoming == min(deadlines, default=None)
        assert upcoming is None or upcoming > self.now

    def is_late(self, known: Job) -> bool:
        """Whether the longest of its rows cannot be done in time."""
        if known.deadline is None:
            return False
        left = [known.steps - self.steps_done[known.key, row] for row in range(known.rows)]
        return self.scheduler.backlog.is_hopeless(known.deadline, max(left), known.size, self.now)

    def remove(self, key: str) -> None:
        gone = self.jobs.pop(key)
        done = sum(self.steps_done[key, row] for row in range(gone.rows))
        assert self.scheduler.remove(key) == gone.rows * gone.steps - done
        assert self.scheduler.remove(key) == 0
        self.preparing = [other for other in self.preparing if other != key]
        self.undecoded = [row for row in self.undecoded if row[0] != key]

    @invariant()
    def the_books_are_right(self) -> None:
        scheduler = self.scheduler
        left = dict.fromkeys("abc", 0.0)
        for key, known in self.jobs.items():
            done = sum(self.steps_done[key, row] for row in range(known.rows))
            left[known.client] += scheduler.backlog.cost(known, known.rows * known.steps - done)
        assert scheduler.backlog.work == sum(left.values()) <= LIMITS.backlog
        assert all(scheduler.backlog.work_of(client) == left[client] for client in "abc")
        assert len(scheduler) == len(self.jobs)
        assert scheduler.undecoded == len(self.undecoded)
        assert scheduler.without_row == sum(not self.joined[key] for key in self.jobs)
        is_awaited = any(self.joined[key] < known.rows for key, known in self.jobs.items())
        for size, slots in SLOTS.items():
            has_free_row = not is_awaited and len(scheduler.active(size)) < slots
            assert scheduler.has_free_row(size) is has_free_row
        assert scheduler.has_free_row((8, 8)) is False
        rows = [row for size in SLOTS for row in scheduler.active(size)]
        assert len(set(rows)) == len(rows)
        assert {key for key, _ in rows} <= set(self.jobs)
        for size, slots in SLOTS.items():
            assert len(scheduler.active(size)) <= slots
        assert scheduler.undecoded <= max(SLOTS.values()) + sum(SLOTS.values())

    def teardown(self) -> None:
        """Whatever has happened, all that is left gets done."""
        for key in self.preparing:
            self.scheduler.prepared(key)
        for row in self.undecoded:
            self.scheduler.decoded(row)
        for _ in range(2000):
            if not len(self.scheduler):
                break
            take_turn(self.scheduler)
        assert not len(self.scheduler)
        assert self.scheduler.undecoded == 0
        assert not self.scheduler.can_join
        assert self.scheduler.backlog.work == 0
        assert not self.scheduler._places
        assert not len(self.scheduler._queue)
