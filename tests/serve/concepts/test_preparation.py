"""Tests of `serve.concepts.preparation`."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

from cdcore.concepts.storage import load_concept
from cdcore.errors import ConceptFileError, ConfigError, ServingError
from cdcore.model.base import Base
from serve.concepts.mix import ConceptMix
from serve.concepts.preparation import Merged, MergePart, Preparation, Preparer
from serve.concepts.store import ConceptStore
from tests.serve.engine_case import ALICE, BORIS, CLARA, FolderSource, mix, weighted_sum

PATIENCE_S = 60.0


class Case:
    """A preparer, and what it has been asked."""

    def __init__(self, base: Base, source: FolderSource, folder: Path) -> None:
        self.threads = ThreadPoolExecutor(2)
        self.store = ConceptStore(
            base, source, folder, self.threads, host_bytes=10**9, disk_bytes=10**9
        )
        self.merges = 0
        self.gate = threading.Event()
        self.gate.set()
        self.preparer = Preparer(self.store, self.merge, self.threads, merge_bytes=10**9)

    def merge(self, parts: Sequence[MergePart], method: str) -> Merged:
        self.merges += 1
        assert self.gate.wait(PATIENCE_S)
        if method == "defect":
            raise ZeroDivisionError
        return weighted_sum(parts, method)

    def start(self, wanted: ConceptMix) -> tuple[Preparation, threading.Event]:
        settled = threading.Event()

        def note() -> None:
            assert not settled.is_set()
            settled.set()

        preparation = Preparation(wanted, note)
        self.preparer.start(preparation)
        return preparation, settled

    def done(self, wanted: ConceptMix) -> Preparation:
        preparation, settled = self.start(wanted)
        assert settled.wait(PATIENCE_S)
        return preparation


@pytest.fixture
def case(tiny_base: Base, source: FolderSource, tmp_path: Path) -> Iterator[Case]:
    made = Case(tiny_base, source, tmp_path)
    yield made
    made.threads.shutdown()


def test_the_base_itself_and_what_is_known_are_ready_at_once(case: Case) -> None:
    assert case.start(ConceptMix())[0].merged == Merged(None, {}, {})
    for wanted in (mix(ALICE), mix(ALICE, BORIS)):
        case.preparer.release(case.done(wanted))
        again, settled = case.start(wanted)
        assert settled.is_set()
        assert again.merged is not None
        case.preparer.release(again)
    assert case.store.leases == 0


def test_a_concept_as_taught_is_leased_until_it_is_released(
    case: Case, source: FolderSource
) -> None:
    preparation = case.done(mix(ALICE))
    assert preparation.merged is not None
    assert preparation.merged.update is not None
    wanted = load_concept(source.path(ALICE)).update
    assert torch.equal(preparation.merged.update.dense(), wanted.dense())
    assert case.store.leases == 1
    case.preparer.release(preparation)
    case.preparer.release(preparation)
    assert case.store.leases == 0


def test_a_weight_scales_in_full_precision(case: Case, source: FolderSource) -> None:
    preparation = case.done(mix(CLARA, weight=0.3))
    assert preparation.merged is not None
    assert preparation.merged.update is not None
    wanted = load_concept(source.path(CLARA)).update.scaled(0.3)
    assert torch.equal(preparation.merged.update.dense(), wanted.dense())
    assert case.merges == 0
    assert case.store.leases == 0


def test_a_merge_is_made_once_and_lets_its_concepts_go(case: Case) -> None:
    case.gate.clear()
    started = [case.start(mix(ALICE, BORIS)) for _ in range(4)]
    case.preparer.release(started[0][0])
    case.gate.set()
    # The first may have been released before it had its concepts: then nobody is told.
    for preparation, settled in started[1:]:
        assert settled.wait(PATIENCE_S)
        assert preparation.merged is not None
        assert preparation.merged.residuals == {"residual": 0.25}
        case.preparer.release(preparation)
    assert case.merges == 1
    assert case.store.leases == 0
    assert len(case.preparer.merge_s) == 1
    case.done(mix(ALICE, BORIS, method="other"))
    assert case.merges == 2


class _AtOnce(ThreadPoolExecutor):
    """Runs each task inside the call that submits it: a merge ends before the next lease comes."""

    def submit(self, task: Callable[..., Any], /, *args: Any, **named: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(task(*args, **named))
        return done


def test_concepts_that_come_after_their_merge_are_not_merged_again(
    case: Case, source: FolderSource
) -> None:
    case.preparer = Preparer(case.store, case.merge, _AtOnce(), merge_bytes=10**9)
    source.gate.clear()
    started = [case.start(mix(ALICE, BORIS)) for _ in range(3)]
    source.gate.set()
    for preparation, settled in started:
        assert settled.wait(PATIENCE_S)
        assert preparation.merged is not None
        case.preparer.release(preparation)
    assert case.merges == 1
    assert case.store.leases == 0


def test_whatever_goes_wrong_is_told(case: Case, tiny_base: Base) -> None:
    for wanted, error in (
        (mix(ALICE, BORIS, method="refused"), ConceptFileError),
        (mix(ALICE, BORIS, method="defect"), ServingError),
    ):
        for _ in range(2):
            failed = case.done(wanted)
            assert isinstance(failed.error, error)
            case.preparer.release(failed)
    assert case.merges == 4
    assert case.store.leases == 0


def test_without_a_merge_several_concepts_are_refused(case: Case) -> None:
    case.preparer = Preparer(case.store, None, case.threads, merge_bytes=0)
    assert isinstance(case.done(mix(ALICE, BORIS)).error, ConfigError)
    assert case.done(mix(ALICE, weight=2.0)).merged is not None
