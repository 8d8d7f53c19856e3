"""Tests of `serve.policies.scheduler`."""

from collections import Counter
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdcore.errors import EngineStoppedError, OverloadedError
from serve.policies.job import Job, Limits, RowKey, Size
from serve.policies.scheduler import JOINS_PER_TURN, Scheduler
from tests.serve.policies.scheduler_life import (
    LARGE,
    LIMITS,
    SLOTS,
    SMALL,
    Life,
    job,
    take_turn,
)

TestLife = Life.TestCase
TestLife.settings = settings(max_examples=60, stateful_step_count=40)


@settings(max_examples=30)
@given(
    st.integers(1, 3),
    st.sampled_from([SMALL, LARGE]),
    st.booleans(),
    st.integers(1, 6),
)
def test_no_flood_starves_a_job(rows: int, size: Size, fresh_clients: bool, steps: int) -> None:
    """However many jobs arrive for ever, of one other client or of ever new ones."""
    scheduler = Scheduler(LIMITS)
    for number in range(20):
        scheduler.offer(job(f"early {number}", "flood", steps=5), 0.0)
    scheduler.offer(job("ours", "us", size=size, rows=rows, steps=steps), 0.0)
    number = 0
    for turn in range(400):
        for kind in (SMALL, LARGE):
            number += 1
            client = f"new {number}" if fresh_clients else "flood"
            with suppress(OverloadedError):
                scheduler.offer(job(f"flood {number}", client, size=kind, rows=2), float(turn))
        take_turn(scheduler)
        if "ours" not in scheduler:
            return
    pytest.fail("the job never got done")


def test_urgent_jobs_of_the_same_client_starve_nothing_either() -> None:
    scheduler = Scheduler(LIMITS)
    scheduler.offer(job("patient", steps=2), 0.0)
    for turn in range(400):
        urgent = Job(key=str(turn), client="a", size=SMALL, rows=4, steps=1, deadline=turn + 5.0)
        scheduler.offer(urgent, float(turn))
        take_turn(scheduler)
        if "patient" not in scheduler:
            return
    pytest.fail("the job never got done")


def test_clients_get_equal_shares_of_the_rows() -> None:
    scheduler = Scheduler(Limits(slots={SMALL: 4}, backlog=10_000))
    done = Counter[str]()
    clients: dict[str, str] = {}
    number = 0
    for _ in range(300):
        for client, count in (("many", 6), ("few", 2)):
            while sum(clients[key] == client for key in clients if key in scheduler) < 8 * count:
                number += 1
                clients[str(number)] = client
                scheduler.offer(job(str(number), client, steps=5), 0.0)
        _, finished = take_turn(scheduler)
        done.update(clients[key] for key, _ in finished)
    assert done["many"] == pytest.approx(done["few"], abs=8)
    assert done.total() > 200


def test_a_free_row_is_taken_in_the_next_turn() -> None:
    scheduler = Scheduler(LIMITS)
    scheduler.offer(job("long", steps=100), 0.0)
    take_turn(scheduler)
    scheduler.offer(job("new", "b", steps=100), 0.0)
    joined, _ = take_turn(scheduler)
    assert joined == [("new", 0)]


def test_only_a_few_jobs_join_between_two_ticks() -> None:
    scheduler = Scheduler(Limits(slots={SMALL: 2 * JOINS_PER_TURN}, backlog=1000))
    for number in range(2 * JOINS_PER_TURN):
        scheduler.offer(job(str(number), str(number)), 0.0)
    for key in scheduler.start_preparing():
        scheduler.prepared(key)
    assert len(scheduler.join()) == JOINS_PER_TURN
    assert len(scheduler.join()) == JOINS_PER_TURN


def test_further_rows_of_a_job_are_no_further_joins() -> None:
    scheduler = Scheduler(Limits(slots={SMALL: 2 * JOINS_PER_TURN}, backlog=1000))
    scheduler.offer(job("wide", rows=2 * JOINS_PER_TURN), 0.0)
    for key in scheduler.start_preparing():
        scheduler.prepared(key)
    assert len(scheduler.join()) == 2 * JOINS_PER_TURN


def test_no_size_waits_for_another() -> None:
    scheduler = Scheduler(LIMITS)
    for number in range(12):
        scheduler.offer(job(f"small {number}", "a", steps=9), 0.0)
    scheduler.offer(job("wide", "a", size=LARGE, steps=4), 0.0)
    turns = []
    while "wide" in scheduler:
        turns.append(scheduler.next_size())
        take_turn(scheduler)
    # It joined at once and had every other turn.
    assert len(turns) <= 2 * 4 + 1


def test_a_job_that_is_slow_to_prepare_holds_up_nobody() -> None:
    scheduler = Scheduler(LIMITS)
    for number in range(20):
        scheduler.offer(job(f"cold {number}", "cold"), 0.0)
    cold = scheduler.start_preparing()
    scheduler.offer(job("warm", "warm"), 0.0)
    assert scheduler.start_preparing() == ["warm"]
    scheduler.prepared("warm")
    assert scheduler.join() == [("warm", 0)]
    assert all(key.startswith("cold") for key in cold)


def test_rows_of_a_wide_job_alternate_with_other_jobs() -> None:
    scheduler = Scheduler(Limits(slots={SMALL: 2}, backlog=1000))
    scheduler.offer(job("wide", "a", rows=10, steps=4), 0.0)
    scheduler.offer(job("narrow", "b", rows=1, steps=4), 0.0)
    joined, _ = take_turn(scheduler)
    assert joined == [("wide", 0), ("narrow", 0)]


def test_rows_do_not_join_while_pictures_pile_up_undecoded() -> None:
    scheduler = Scheduler(Limits(slots={SMALL: 2}, backlog=1000))
    for number in range(9):
        scheduler.offer(job(str(number), str(number), steps=1), 0.0)
    waiting: list[RowKey] = []
    for _ in range(4):
        for key in scheduler.start_preparing():
            scheduler.prepared(key)
        scheduler.join()
        if scheduler.next_size() is not None:
            waiting += scheduler.ticked(SMALL, 0.01)
    assert waiting == [("0", 0), ("1", 0)]
    scheduler.decoded(waiting[0])
    assert scheduler.join() == [("2", 0), ("3", 0)]


def test_a_draining_scheduler_refuses_and_finishes() -> None:
    scheduler = Scheduler(LIMITS)
    scheduler.offer(job("before"), 0.0)
    scheduler.is_draining = True
    with pytest.raises(EngineStoppedError, match="shutting down"):
        scheduler.offer(job("after"), 0.0)
    for _ in range(3):
        take_turn(scheduler)
    assert not len(scheduler)


def prepare(scheduler: Scheduler) -> list[str]:
    """Prepare what is to be prepared; returns its keys."""
    chosen = scheduler.start_preparing()
    for key in chosen:
        scheduler.prepared(key)
    return chosen


def test_a_job_is_done_with_its_last_picture() -> None:
    scheduler = Scheduler(LIMITS)
    scheduler.offer(job("wide", rows=3, steps=1), 0.0)
    prepare(scheduler)
    scheduler.join()
    rows = scheduler.ticked(SMALL, 0.01)
    assert [scheduler.decoded(row) for row in rows] == [False, False, True]
    assert "wide" not in scheduler


def test_half_of_the_places_fill_every_row_and_no_client_has_more() -> None:
    scheduler = Scheduler(Limits(slots=SLOTS, backlog=10_000))
    for client in "abc":
        for number in range(20):
            scheduler.offer(job(f"{client} {number}", client), 0.0)
    chosen = Counter(key.split()[0] for key in scheduler.start_preparing())
    # The batch's rows and one more for each of two clients, or shared by three.
    assert chosen.total() == 2 * (SLOTS[SMALL] + 1)
    assert max(chosen.values()) <= SLOTS[SMALL] + 1
    alone = Scheduler(Limits(slots=SLOTS, backlog=10_000))
    for number in range(20):
        alone.offer(job(str(number)), 0.0)
    assert len(alone.start_preparing()) == SLOTS[SMALL] + 1
    assert alone.start_preparing() == []


def test_few_jobs_join_at_once_but_their_other_rows_all_do() -> None:
    count = 2 * JOINS_PER_TURN
    scheduler = Scheduler(Limits(slots={SMALL: 2 * count}, backlog=1000))
    for number in range(count):
        scheduler.offer(job(str(number), str(number), rows=2, steps=5), 0.0)
    prepare(scheduler)
    firsts = [(str(number), 0) for number in range(count)]
    assert scheduler.join() == firsts[:JOINS_PER_TURN]
    others = [(str(number), 1) for number in range(count)]
    assert scheduler.join() == firsts[JOINS_PER_TURN:] + others
    assert scheduler.join() == []


def test_a_job_without_a_deadline_is_due_when_patience_ends() -> None:
    scheduler = Scheduler(LIMITS)
    deadlines = {"late": 90.0, "patient": None, "soon": 30.0}
    for key, deadline in deadlines.items():
        scheduler.offer(
            Job(key=key, client="a", size=SMALL, rows=1, steps=3, deadline=deadline), 0.0
        )
    assert scheduler.start_preparing() == ["soon", "patient", "late"]


def test_rows_may_join_until_as_many_as_the_widest_batch_are_undecoded() -> None:
    scheduler = Scheduler(Limits(slots=SLOTS, backlog=1000))
    scheduler.offer(job("first", rows=4, steps=1), 0.0)
    prepare(scheduler)
    scheduler.join()
    rows = scheduler.ticked(SMALL, 0.01)
    scheduler.offer(job("second", "b", steps=9), 0.0)
    prepare(scheduler)
    assert scheduler.join() == []
    scheduler.decoded(rows[0])
    assert scheduler.join() == [("second", 0)]
    assert scheduler.remove("first") == 0
    assert scheduler.undecoded == 0


def test_ticks_are_measured_where_they_happen() -> None:
    scheduler = Scheduler(LIMITS)
    scheduler.offer(job("one"), 0.0)
    prepare(scheduler)
    scheduler.join()
    scheduler.ticked(SMALL, 0.25)
    assert scheduler.backlog.tick_s(SMALL) == 0.25


def test_rows_of_a_wide_job_wait_as_long_as_jobs_of_the_same_cost() -> None:
    scheduler = Scheduler(Limits(slots={SMALL: 6}, backlog=1000))
    scheduler.offer(job("wide", "a", rows=3, steps=4), 0.0)
    for number in range(3):
        scheduler.offer(job(f"narrow {number}", "b", steps=4), 0.0)
    prepare(scheduler)
    joined = scheduler.join()
    for turn in range(3):
        pair = set(joined[2 * turn : 2 * turn + 2])
        assert pair == {("wide", turn), (f"narrow {turn}", 0)}


def test_an_idle_engine_forgets_who_used_it() -> None:
    scheduler = Scheduler(LIMITS)
    scheduler.offer(job("long", "a", steps=50), 0.0)
    scheduler.offer(job("short", "b", steps=1), 0.0)
    while len(scheduler):
        take_turn(scheduler)
    for client in "ab":
        scheduler.offer(job(client, client), 0.0)
    assert scheduler.start_preparing() == ["a", "b"]


def test_who_leaves_pays_for_what_was_done_alone() -> None:
    scheduler = Scheduler(Limits(slots={SMALL: 1}, backlog=1000))
    scheduler.offer(job("left", "a", steps=100), 0.0)
    for client in "bcdef":
        scheduler.offer(job(client, client, steps=1), 0.0)
    chosen = prepare(scheduler)
    assert chosen[0] == "left"
    scheduler.remove("left")
    scheduler.offer(job("again", "a", steps=1), 0.0)
    scheduler.offer(job("new", "g", steps=1), 0.0)
    order = []
    while len(scheduler):
        order += prepare(scheduler)
        take_turn(scheduler)
    assert order.index("again") < order.index("new")


def test_a_deadline_is_judged_by_the_row_that_has_most_to_do() -> None:
    scheduler = Scheduler(Limits(slots={SMALL: 1}, backlog=1000))
    late = Job(key="late", client="a", size=SMALL, rows=2, steps=8, deadline=20.0)
    scheduler.offer(late, 0.0)
    prepare(scheduler)
    scheduler.join()
    for _ in range(7):
        scheduler.ticked(SMALL, 1.0)
    # Its second row waits for the first, and takes at least half of eight seconds.
    assert scheduler.hopeless(15.9) == []
    assert scheduler.hopeless(16.1) == ["late"]


def test_rows_that_have_all_joined_are_judged_by_what_they_have_left() -> None:
    scheduler = Scheduler(Limits(slots={SMALL: 2}, backlog=1000))
    scheduler.offer(job("other", "b", steps=2), 0.0)
    late = Job(key="late", client="a", size=SMALL, rows=2, steps=8, deadline=100.0)
    scheduler.offer(late, 0.0)
    prepare(scheduler)

    def tick(count: int) -> list[RowKey]:
        finished = []
        for _ in range(count):
            scheduler.join()
            finished += scheduler.ticked(SMALL, 1.0)
        return finished

    tick(2 + 1)
    # Five steps are left of its first row, and seven of its second, which joined two turns later.
    assert scheduler.hopeless(96.4) == []
    assert scheduler.hopeless(96.6) == ["late"]
    assert ("late", 1) in tick(7)
    # Nothing is left but to decode, for which there is no measure.
    assert scheduler.hopeless(99.9) == []
    assert scheduler.hopeless(100.0) == ["late"]


def test_the_next_deadline_is_the_earliest_of_any_job() -> None:
    scheduler = Scheduler(LIMITS)
    assert scheduler.next_deadline() is None
    for key, deadline in (("none", None), ("later", 9.0), ("first", 5.0), ("last", 12.0)):
        scheduler.offer(
            Job(key=key, client=key, size=SMALL, rows=1, steps=1, deadline=deadline), 0.0
        )
    assert scheduler.next_deadline() == 5.0
