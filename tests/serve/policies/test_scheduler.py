"""Tests of `serve.policies.scheduler`."""

from collections import Counter
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdcore.errors import EngineStoppedError, OverloadedError
from serve.policies.job import Job, Limits, RowKey, Size
from serve.policies.scheduler import JOINS_PER_TURN, Scheduler
from tests.serve.scheduler_case import LARGE, LIMITS, SMALL, Life, job, take_turn

TestLife = Life.TestCase
TestLife.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@settings(max_examples=30, deadline=None)
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
