"""Tests of `serve.engine.engine`."""

import random
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from cdcore.errors import (
    ConceptFileError,
    ConfigError,
    DeadlineError,
    EngineStoppedError,
    RequestCancelledError,
    ServingError,
    TokenError,
)
from cdcore.model.base import Base
from serve.concepts.mix import ConceptRef
from serve.engine.engine import Engine
from serve.engine.request import Done, Event, Failed, PictureRequest, Preview
from tests.serve.engine_case import (
    ALICE,
    BORIS,
    CLARA,
    CONFIG,
    SIMPLE,
    FolderSource,
    expected,
    mix,
    mixed,
    running,
)

PATIENCE_S = 200.0


@pytest.fixture(scope="module")
def shared(
    tiny_base: Base, concept_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Engine, FolderSource]]:
    """One engine for all tests that leave it working."""
    source = FolderSource(concept_folder)
    with running(tiny_base, source, tmp_path_factory.mktemp("cache")) as engine:
        yield engine, source
        assert engine.inbox.figures()["requests"] == 0


def picture(engine: Engine, request: PictureRequest) -> Tensor:
    return engine.ask(request).result(PATIENCE_S).pictures[0]


def test_deterministic_pictures_are_those_of_the_sampler_bit_for_bit(
    tiny_base: Base, shared: tuple[Engine, FolderSource]
) -> None:
    """Whether requests come together or one after the other."""
    engine, source = shared
    wanted = expected(tiny_base, source, mixed())
    tickets = [engine.ask(request) for request in mixed()]
    together = [ticket.result(PATIENCE_S).pictures[0] for ticket in tickets]
    for number, request in enumerate(mixed()):
        assert torch.equal(together[number], wanted[number])
        assert torch.equal(picture(engine, request), wanted[number])


def test_other_pictures_are_equal_within_rounding(
    tiny_base: Base, shared: tuple[Engine, FolderSource]
) -> None:
    engine, source = shared
    requests = [
        replace(request, deterministic=False, steps=request.steps + number, seeds=(9 + number,))
        for number, request in enumerate(mixed())
    ]
    tickets = [engine.ask(request) for request in requests]
    for ticket, request in zip(tickets, requests, strict=True):
        wanted = expected(tiny_base, source, [request])[0]
        found = ticket.result(PATIENCE_S).pictures[0]
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-4)


def test_a_client_that_goes_leaves_no_trace_in_its_neighbours(
    shared: tuple[Engine, FolderSource],
) -> None:
    engine, _ = shared
    long = replace(SIMPLE, mix=mix(ALICE), steps=12)
    alone = picture(engine, long)
    before = engine.inbox.figures()
    ticket = engine.ask(long)
    heard: list[Event] = []
    keys: list[str] = []

    def leave_at_the_first_preview(event: Event) -> None:
        heard.append(event)
        if isinstance(event, Preview):
            engine.cancel(keys[0])

    gone = replace(SIMPLE, mix=mix(BORIS), steps=12, previews=3, seeds=(8,))
    keys.append(engine.submit(gone, leave_at_the_first_preview))
    assert torch.equal(ticket.result(PATIENCE_S).pictures[0], alone)
    first, last = heard
    assert isinstance(first, Preview)
    assert isinstance(last, Failed)
    assert isinstance(last.error, RequestCancelledError)
    spared = engine.inbox.figures()["cancelled_steps"] - before["cancelled_steps"]
    assert spared == 12 - 3
    engine.cancel(keys[0])


def test_several_pictures_and_previews_of_one_request(
    tiny_base: Base, shared: tuple[Engine, FolderSource]
) -> None:
    engine, source = shared
    request = replace(SIMPLE, mix=mix(ALICE, BORIS), seeds=(5, 6, 7, 8), previews=2, steps=6)
    result = engine.ask(request).result(PATIENCE_S)
    assert len(result.pictures) == 4
    for number, seed in enumerate(request.seeds):
        alone = expected(tiny_base, source, [replace(request, seeds=(seed,))] * 3)[0]
        assert torch.equal(result.pictures[number], alone)
    heard = sorted((preview.number, preview.step) for preview in result.previews)
    assert heard == [(number, step) for number in range(4) for step in (2, 4)]
    for preview in result.previews:
        assert preview.pixels.shape == (3, 8, 8)
        assert preview.pixels.abs().max() <= 1
    assert result.done.residuals == {"residual": 0.25}


def test_a_request_that_fails_fails_alone(shared: tuple[Engine, FolderSource]) -> None:
    engine, _ = shared
    good = engine.ask(replace(SIMPLE, steps=10))
    for request, error, says in (
        (replace(SIMPLE, prompt="a <hat>"), TokenError, "<hat>"),
        (replace(SIMPLE, mix=mix(ALICE), prompt="<boris> cat"), TokenError, "<alice>"),
        (replace(SIMPLE, mix=mix(ConceptRef("dora", "1"))), ConceptFileError, "'dora'"),
        (replace(SIMPLE, mix=mix(ALICE, CLARA, method="refused")), ConceptFileError, "go tog"),
        (replace(SIMPLE, mix=mix(ALICE, CLARA, method="broken")), ServingError, "no numbers"),
    ):
        with pytest.raises(error, match=says):
            picture(engine, request)
    assert good.result(PATIENCE_S).pictures[0].isfinite().all()


def test_what_can_never_be_done_is_refused_at_once(shared: tuple[Engine, FolderSource]) -> None:
    engine, _ = shared
    for request, says in (
        (replace(SIMPLE, steps=0), "steps is 0"),
        (replace(SIMPLE, eta=0.5), "dpm"),
        (replace(SIMPLE, size=(96, 64)), "96x64 is not served; expected one of 64x64"),
        (replace(SIMPLE, seeds=tuple(range(10)), steps=201), "at most 2000 are admitted"),
    ):
        with pytest.raises(ConfigError, match=says):
            engine.ask(request)


def test_a_free_row_is_taken_within_two_turns(shared: tuple[Engine, FolderSource]) -> None:
    engine, _ = shared
    first = engine.ask(replace(SIMPLE, steps=12))
    time.sleep(0.05)
    done = engine.ask(replace(SIMPLE, mix=mix(ALICE), steps=2)).result(PATIENCE_S).done
    assert done.found_free_row
    assert done.turns_waited <= 2
    first.result(PATIENCE_S)


def test_a_sink_that_fails_has_its_request_cancelled(shared: tuple[Engine, FolderSource]) -> None:
    engine, _ = shared
    heard: list[Event] = []
    ended = threading.Event()

    def fail(event: Event) -> None:
        heard.append(event)
        if isinstance(event, Failed | Done):
            ended.set()
        raise OSError("the client has gone")

    engine.submit(replace(SIMPLE, steps=12, previews=3), fail)
    assert ended.wait(PATIENCE_S)
    assert [type(event) for event in heard] == [Preview, Failed]


def test_sizes_share_an_engine(tiny_base: Base, source: FolderSource, tmp_path: Path) -> None:
    config = replace(CONFIG, sizes=((128, 64),))
    with running(tiny_base, source, tmp_path / "cache", config) as engine:
        wide = [engine.ask(replace(SIMPLE, size=(128, 64), seeds=(n,))) for n in range(3)]
        square = [engine.ask(replace(SIMPLE, seeds=(n,))) for n in range(3)]
        for ticket in wide:
            assert ticket.result(PATIENCE_S).pictures[0].shape == (3, 64, 128)
        for ticket in square:
            assert ticket.result(PATIENCE_S).pictures[0].shape == (3, 64, 64)


def test_a_crash_of_the_thread_fails_all_requests_with_one_error(
    tiny_base: Base,
    source: FolderSource,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with running(tiny_base, source, tmp_path / "cache") as engine:
        engine.check_health()
        source.gate.clear()
        cold = engine.ask(replace(SIMPLE, mix=mix(ALICE)))

        def fail(*_: object) -> None:
            raise RuntimeError("the device has gone")

        monkeypatch.setattr(tiny_base.seam, "predict", fail)
        tickets = [cold, *(engine.ask(replace(SIMPLE, client=name)) for name in "abcde")]
        for ticket in tickets:
            with pytest.raises(EngineStoppedError, match="the device has gone"):
                ticket.result(PATIENCE_S)
        source.gate.set()
        assert not engine.is_ready
        for refused in (engine.check_health, lambda: engine.ask(SIMPLE)):
            with pytest.raises(EngineStoppedError, match="the device has gone"):
                refused()


def test_any_mix_of_clients_that_come_fail_and_go_leaves_nothing_behind(
    tiny_base: Base, source: FolderSource, tmp_path: Path
) -> None:
    """Small caches, so that concepts go and come back; every request hears exactly one end."""
    size = source.file_bytes(ALICE)
    config = replace(CONFIG, host_bytes=5 * size, disk_bytes=3 * size, prompt_bytes=0)
    mixes = [mix(ALICE), mix(BORIS), mix(ALICE, CLARA), mix(ConceptRef("dora", "1"))]
    mixes += [mix(), mix(BORIS, CLARA, method="refused"), mix(ALICE, weight=0.5)]
    ends: list[list[Event]] = []

    def client(engine: Engine, seed: int) -> None:
        rng = random.Random(seed)
        for _ in range(12):
            heard: list[Event] = []
            ends.append(heard)
            request = replace(
                SIMPLE,
                mix=rng.choice(mixes),
                seeds=tuple(range(rng.randint(1, 2))),
                steps=rng.randint(1, 3),
                client=str(seed),
                deterministic=rng.random() < 0.3,
                deadline_s=rng.choice([None, None, 0.5]),
            )
            try:
                key = engine.submit(request, heard.append)
            except ServingError as error:
                heard.append(Failed(error))
                continue
            if rng.random() < 0.3:
                time.sleep(rng.random() * 0.1)
                engine.cancel(key)

    with running(tiny_base, source, tmp_path / "cache", config) as engine:
        clients = [threading.Thread(target=client, args=(engine, seed)) for seed in range(3)]
        for thread in clients:
            thread.start()
        for thread in clients:
            thread.join()
        assert engine.drain(PATIENCE_S)
        figures = engine.inbox.figures()
        assert figures["backlog_row_steps"] == figures["active_rows"] == 0
        assert engine.store.leases == 0
        assert engine.store.used_bytes[0] <= config.host_bytes
    assert len(ends) == 36
    for heard in ends:
        assert [isinstance(event, Done | Failed) for event in heard].count(True) == 1
        assert isinstance(heard[-1], Done | Failed)
    kinds = {type(event.error) for heard in ends for event in heard if isinstance(event, Failed)}
    assert kinds <= {ConceptFileError, RequestCancelledError, DeadlineError}
    assert any(isinstance(heard[-1], Done) for heard in ends)


def test_a_turn_that_does_not_end_is_no_sign_of_health(
    tiny_base: Base, source: FolderSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serve.engine.engine._STALL_S", 0.05)
    with running(tiny_base, source, tmp_path / "cache") as engine:
        inside, go_on = threading.Event(), threading.Event()

        def stall(_: Event) -> None:
            inside.set()
            assert go_on.wait(PATIENCE_S)

        engine.submit(SIMPLE, stall)
        assert inside.wait(PATIENCE_S)
        time.sleep(0.1)
        with pytest.raises(EngineStoppedError, match="in one turn"):
            engine.check_health()
        go_on.set()
        assert engine.drain(PATIENCE_S)
        # The thread may still be in the turn that ended the last request.
        patience = time.monotonic() + PATIENCE_S
        while engine.turn_age_s and time.monotonic() < patience:
            time.sleep(0.01)
        engine.check_health()
