"""Tests of `serve.policies.backlog`."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdcore.errors import ConfigError, DeadlineError, OverloadedError
from serve.policies.backlog import Backlog
from serve.policies.job import Job, Limits, Size

SMALL, LARGE = (64, 64), (128, 128)
LIMITS = Limits(slots={SMALL: 8, LARGE: 2}, backlog=1000)


def job(client: str = "a", rows: int = 1, steps: int = 10, size: Size = SMALL) -> Job:
    return Job(key="any", client=client, size=size, rows=rows, steps=steps)


def refused(backlog: Backlog, asked: Job) -> OverloadedError:
    with pytest.raises(OverloadedError) as caught:
        backlog.admit(asked, now=0)
    return caught.value


def test_work_is_rows_times_steps_in_rows_of_the_smallest_size() -> None:
    backlog = Backlog(LIMITS)
    assert backlog.cost(job(rows=3, steps=20)) == 60
    assert backlog.cost(job(rows=3, steps=20, size=LARGE)) == 240


@given(
    st.lists(
        st.tuples(
            st.sampled_from("abc"),
            st.integers(1, 12),
            st.integers(1, 60),
            st.sampled_from([SMALL, LARGE]),
        ),
        max_size=60,
    )
)
def test_the_budget_is_never_passed_and_a_new_client_finds_half_of_what_is_free(
    wanted: list[tuple[str, int, int, Size]],
) -> None:
    backlog = Backlog(LIMITS)
    for client, rows, steps, size in wanted:
        asked = job(client, rows, steps, size)
        cost, own, room = backlog.cost(asked), backlog.work_of(client), 1000 - backlog.work
        if cost > 1000:
            with pytest.raises(ConfigError):
                backlog.admit(asked, now=0)
        elif cost > room or (own and own + cost > room):
            error = refused(backlog, asked)
            assert 1 <= error.retry_after_s <= 600
            assert str(error).endswith(f"come again in {error.retry_after_s:.0f} s")
        else:
            backlog.admit(asked, now=0)
        assert 0 <= backlog.work <= 1000
        assert sum(map(backlog.work_of, "abc")) == pytest.approx(backlog.work)


def test_one_client_alone_leaves_room_for_others() -> None:
    backlog = Backlog(LIMITS)
    for _ in range(500):
        backlog.admit(job("greedy", steps=1), now=0)
    assert "500 of them this client's" in str(refused(backlog, job("greedy", steps=1)))
    backlog.admit(job("new", rows=10, steps=49), now=0)


def test_when_to_come_again_follows_from_measured_ticks() -> None:
    backlog = Backlog(LIMITS)
    backlog.admit(job("a", rows=10, steps=80), now=0)
    # 800 row-steps in batches of 8, of which 100 must be done before 300 more fit in.
    for tick_s in (0.5, 2.0):
        for _ in range(200):
            backlog.measure(SMALL, tick_s)
        assert backlog.drain_s() == pytest.approx(100 * tick_s)
        error = refused(backlog, job("b", rows=10, steps=30))
        assert error.retry_after_s == pytest.approx(100 * tick_s * 100 / 800)


def test_drain_time_counts_each_size_with_its_own_ticks() -> None:
    backlog = Backlog(LIMITS)
    backlog.measure(SMALL, 0.1)
    assert backlog.tick_s(LARGE) == 0.1
    backlog.measure(LARGE, 0.3)
    backlog.admit(job("a", rows=2, steps=20, size=SMALL), now=0)
    backlog.admit(job("b", rows=3, steps=10, size=LARGE), now=0)
    assert backlog.drain_s() == pytest.approx(math.ceil(40 / 8) * 0.1 + math.ceil(30 / 2) * 0.3)


def test_what_no_engine_could_do_is_no_question_of_load() -> None:
    backlog = Backlog(LIMITS)
    with pytest.raises(ConfigError, match="row-steps"):
        backlog.admit(job(rows=21, steps=50), now=0)
    with pytest.raises(ConfigError, match="64x64, 128x128"):
        backlog.admit(job(size=(8, 8)), now=0)
    assert backlog.work == 0


def test_a_deadline_is_refused_only_when_it_is_beyond_hope() -> None:
    backlog = Backlog(LIMITS)
    for _ in range(3):
        backlog.measure(SMALL, 1.0)
    near = Job(key="n", client="a", size=SMALL, rows=1, steps=10, deadline=104.0)
    far = Job(key="f", client="a", size=SMALL, rows=1, steps=10, deadline=106.0)
    with pytest.raises(DeadlineError, match=r"10 steps take about 10\.0 s"):
        backlog.admit(near, now=100.0)
    backlog.admit(far, now=100.0)
    assert backlog.work == 10


def test_the_newest_tick_counts_a_tenth() -> None:
    backlog = Backlog(LIMITS)
    backlog.measure(SMALL, 1.0)
    assert backlog.tick_s(SMALL) == 1.0
    backlog.measure(SMALL, 2.0)
    assert backlog.tick_s(SMALL) == pytest.approx(1.1)


def test_a_size_that_was_never_drawn_is_taken_to_be_as_slow_as_the_slowest() -> None:
    medium = (96, 96)
    limits = Limits(slots={SMALL: 8, medium: 4, LARGE: 2}, backlog=1000)
    backlog = Backlog(limits)
    assert backlog.tick_s(LARGE) == backlog.tick_s(SMALL) > 0
    backlog.measure(SMALL, 0.1)
    backlog.measure(medium, 0.5)
    assert backlog.tick_s(LARGE) == 0.5


@pytest.mark.parametrize(("tick_s", "wait_s"), [(1e-6, 1.0), (1e6, 600.0)])
def test_nobody_is_told_to_come_again_at_once_or_hours_later(tick_s: float, wait_s: float) -> None:
    backlog = Backlog(LIMITS)
    backlog.measure(SMALL, tick_s)
    backlog.admit(job("a", rows=10, steps=80), now=0)
    assert refused(backlog, job("b", rows=10, steps=30)).retry_after_s == wait_s


def test_nobody_waits_longer_than_all_the_work_takes() -> None:
    backlog = Backlog(LIMITS)
    backlog.measure(SMALL, 1.0)
    backlog.admit(job("a", rows=8, steps=10), now=0)
    # It would pass its share by more than all the work there is.
    assert refused(backlog, job("a", rows=10, steps=94)).retry_after_s == backlog.drain_s() == 10


def test_a_job_as_large_as_the_budget_is_admitted() -> None:
    backlog = Backlog(LIMITS)
    backlog.admit(job(rows=20, steps=50), now=0)
    assert backlog.work == LIMITS.backlog


def test_a_deadline_is_hopeless_once_it_has_come_or_half_the_usual_time_is_too_much() -> None:
    backlog = Backlog(LIMITS)
    assert not backlog.is_hopeless(10.0, 1000, SMALL, now=9.0), "nothing was measured"
    assert backlog.is_hopeless(10.0, 1, SMALL, now=10.0)
    backlog.measure(SMALL, 4.0)
    assert not backlog.is_hopeless(20.0, 10, SMALL, now=0.0)
    assert backlog.is_hopeless(19.0, 10, SMALL, now=0.0)
    assert backlog.is_hopeless(10.0, 0, SMALL, now=10.0)
