"""Tests of `serve.engine.inbox`."""

import pickle
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from cdcore.errors import (
    ConceptFileError,
    DeadlineError,
    EngineStoppedError,
    OverloadedError,
)
from cdcore.model.base import Base
from cdcore.sampling.solvers import plan
from serve.concepts.mix import ConceptRef
from serve.concepts.preparation import Preparer
from serve.concepts.store import ConceptStore
from serve.engine.conditioning import Conditioner
from serve.engine.config import EngineConfig, limits_of
from serve.engine.inbox import Inbox
from serve.engine.request import Event, PictureRequest
from tests.serve.engine_case import ALICE, SIMPLE, FolderSource, mix, running

PATIENCE_S = 200.0
SIZE = (64, 64)
CONFIG = EngineConfig(slots=2, backlog=200)
MISSING = mix(ConceptRef("dora", "1"))


class Case:
    """An inbox without an engine."""

    def __init__(self, base: Base, source: FolderSource, folder: Path) -> None:
        self.base = base
        self.threads = ThreadPoolExecutor(1)
        self.store = ConceptStore(
            base, source, folder, self.threads, host_bytes=10**9, disk_bytes=10**9
        )
        preparer = Preparer(self.store, None, self.threads, merge_bytes=0)
        conditioner = Conditioner(base, prompt_bytes=0, device_bytes=0)
        self.inbox = Inbox(limits_of(base, CONFIG), preparer, conditioner)

    def submit(self, request: PictureRequest) -> str:
        steps = plan(self.base.noise_schedule, request.sampler, request.steps)
        heard: list[Event] = []
        return self.inbox.submit(request, steps, SIZE, heard.append)


@pytest.fixture
def case(tiny_base: Base, source: FolderSource, tmp_path: Path) -> Iterator[Case]:
    made = Case(tiny_base, source, tmp_path)
    yield made
    made.threads.shutdown()


def test_failures_make_place_for_those_who_wait(case: Case) -> None:
    """More requests for a missing concept than are prepared at once, and one good one behind."""
    missing = [case.submit(replace(SIMPLE, mix=MISSING, steps=1)) for _ in range(20)]
    good = case.submit(SIMPLE)
    failed: list[str] = []
    for _ in range(20):
        step_plan = case.inbox.await_turn(has_other_work=False)
        assert step_plan is not None
        failed += [
            work.key for work, error in step_plan.failed if isinstance(error, ConceptFileError)
        ]
        if step_plan.active[SIZE]:
            assert {key for key, _ in step_plan.active[SIZE]} == {good}
            break
        assert step_plan.size is None
    assert len(failed) == len(set(failed))
    # The rest fail when they are prepared, and none is forgotten.
    while len(failed) < len(missing):
        step_plan = case.inbox.await_turn(has_other_work=False)
        assert step_plan is not None
        failed += [work.key for work, _ in step_plan.failed]
    assert sorted(failed) == sorted(missing)
    assert case.store.leases == 0


def test_a_known_concept_joins_in_the_turn_after_it_was_asked_for(case: Case) -> None:
    case.submit(replace(SIMPLE, mix=mix(ALICE)))
    step_plan = case.inbox.await_turn(has_other_work=False)
    assert step_plan is not None
    assert step_plan.size == SIZE
    warm = case.submit(replace(SIMPLE, mix=mix(ALICE), seeds=(2,)))
    step_plan = case.inbox.await_turn(has_other_work=False)
    assert step_plan is not None
    work = step_plan.active[SIZE][warm, 0]
    assert work.found_free_row
    assert work.joined_turn - work.offered_turn == 0


def test_a_turn_is_counted_only_while_there_is_one(case: Case) -> None:
    before = case.inbox.turn_started_at
    case.submit(replace(SIMPLE, steps=1))
    assert case.inbox.await_turn(has_other_work=False) is not None
    assert (before is None, case.inbox.turn_started_at is None) == (True, False)
    (finished,) = case.inbox.ticked(SIZE)
    assert case.inbox.is_open(finished[1].key)
    assert case.inbox.decoded(finished[0]) is finished[1]
    assert not case.inbox.is_open(finished[1].key)
    assert case.inbox.drain(0.0)


def test_a_closed_inbox_gives_back_all_that_is_there(case: Case) -> None:
    keys = {case.submit(replace(SIMPLE, mix=mix(ALICE), seeds=(n,))) for n in range(3)}
    case.inbox.close(EngineStoppedError("closed"))
    assert case.inbox.await_turn(has_other_work=False) is None
    assert {work.key for work, _ in case.inbox.clear()} == keys
    assert case.store.leases == 0
    with pytest.raises(EngineStoppedError, match="closed"):
        case.submit(SIMPLE)


def test_figures_count_what_has_happened(case: Case) -> None:
    case.submit(replace(SIMPLE, seeds=(1, 2), steps=50))
    with pytest.raises(OverloadedError):
        case.submit(replace(SIMPLE, seeds=(1, 2), steps=50))
    key = case.submit(replace(SIMPLE, steps=50, client="other"))
    case.inbox.cancel(key)
    step_plan = case.inbox.await_turn(has_other_work=False)
    assert step_plan is not None
    figures = case.inbox.figures()
    assert {name: figures[name] for name in ("offered", "refused", "cancelled", "turns")} == {
        "offered": 2,
        "refused": 1,
        "cancelled": 1,
        "turns": 1,
    }
    assert figures["backlog_row_steps"] == 100
    assert figures["cancelled_steps"] == 50
    assert figures["active_rows"] == 2


def test_work_beyond_the_budget_is_refused_until_there_is_room(
    tiny_base: Base, source: FolderSource, tmp_path: Path
) -> None:
    config = EngineConfig(slots=2, backlog=40)
    with running(tiny_base, source, tmp_path / "cache", config) as engine:
        first = engine.ask(replace(SIMPLE, steps=30))
        with pytest.raises(OverloadedError, match="row-steps wait") as caught:
            engine.ask(replace(SIMPLE, steps=20))
        assert caught.value.retry_after_s >= 1
        copied = pickle.loads(pickle.dumps(caught.value))
        assert (str(copied), copied.retry_after_s) == (
            str(caught.value),
            caught.value.retry_after_s,
        )
        first.result(PATIENCE_S)
        assert engine.ask(replace(SIMPLE, steps=20)).result(PATIENCE_S).pictures[0].isfinite().all()


def test_a_deadline_that_cannot_be_met_ends_a_request(
    tiny_base: Base, source: FolderSource, tmp_path: Path
) -> None:
    with running(tiny_base, source, tmp_path / "cache") as engine:
        with pytest.raises(DeadlineError, match="take about"):
            engine.ask(replace(SIMPLE, steps=500, deadline_s=1e-3))
        # Its concept does not come, and nothing else happens that could wake the engine.
        source.gate.clear()
        late = engine.ask(replace(SIMPLE, mix=mix(ALICE), steps=1, deadline_s=2.0))
        with pytest.raises(DeadlineError, match="cannot be met"):
            late.result(PATIENCE_S)
        source.gate.set()


def test_an_engine_that_drains_finishes_and_takes_nothing_new(
    tiny_base: Base, source: FolderSource, tmp_path: Path
) -> None:
    with running(tiny_base, source, tmp_path / "cache") as engine:
        ticket = engine.ask(SIMPLE)
        assert engine.drain(PATIENCE_S)
        with pytest.raises(EngineStoppedError, match="shutting down"):
            engine.ask(SIMPLE)
        assert ticket.result(1.0).pictures[0].isfinite().all()
    with pytest.raises(EngineStoppedError, match="closed"):
        engine.ask(SIMPLE)
