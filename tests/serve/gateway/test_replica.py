"""Tests of `serve.gateway.replica`; behind Ray Serve it is tested in `test_app`."""

import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cdcore.errors import ConfigError, CustomDiffusionError, EngineStoppedError
from cdcore.model.base import Base
from cdcore.registry.registry import Registry
from serve.concepts.mix import ConceptRef
from serve.engine.request import Done, Failed, Picture
from serve.gateway import replica as module
from serve.gateway.protocol import Accepted, KeptMerge
from serve.gateway.replica import EngineReplica, log_requests
from serve.settings import ServiceSettings
from tests.serve.engine_case import SIMPLE
from tests.serve.metrics_case import Metrics
from tests.serve.service_case import few_captions

pytestmark = pytest.mark.anyio


@pytest.fixture
def replica(
    tiny_base: Base, shared_registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[EngineReplica]:
    """A replica of the tiny base whose metrics nobody reads."""
    kinds = Metrics()
    monkeypatch.setattr(module, "load_base", lambda *given, **named: tiny_base)
    monkeypatch.setattr(module, "written_captions", lambda **named: few_captions())
    monkeypatch.setattr(module, "log_requests", lambda: None)
    monkeypatch.setattr("serve.gateway.replica.metrics.Counter", kinds.counter)
    monkeypatch.setattr("serve.gateway.replica.metrics.Gauge", kinds.gauge)
    settings = ServiceSettings(
        registry=str(shared_registry.store.address()), cache=str(tmp_path), slots=2, drain_s=5.0
    )
    made = EngineReplica(settings)
    yield made
    made.__del__()


async def test_it_answers_as_its_host_does(
    replica: EngineReplica, shared_registry: Registry
) -> None:
    entries = [shared_registry.entry(name) for name in ("mycat", "mychair")]
    references = [ConceptRef(entry.name, entry.version) for entry in entries]
    assert (await replica.facts()).sizes == ((64, 64),)
    assert (await replica.figures())["requests"] == 0
    kinds = [type(event) async for event in replica.draw(SIMPLE)]
    assert kinds == [Accepted, Picture, Done]
    kept = await replica.merge([(one, 1.0) for one in references], "ridge", "both")
    assert isinstance(kept, KeptMerge)
    file = await replica.export(references[0], "concept")
    assert not isinstance(file, Failed)
    assert file.data == shared_registry.resolve("mycat").read_bytes()


async def test_refusals_are_returned_and_defects_are_raised(
    replica: EngineReplica, shared_registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    mycat = ConceptRef("mycat", shared_registry.entry("mycat").version)
    for answer in (
        await replica.export(mycat, "exe"),
        await replica.merge([(mycat, 1.0), (ConceptRef("mychair", "7-0"), 1.0)], "median", "both"),
    ):
        assert isinstance(answer, Failed)
        assert isinstance(answer.error, ConfigError)

    def broken(*given: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(replica._host, "_export", broken)
    with pytest.raises(ZeroDivisionError):
        await replica.export(mycat, "concept")


async def test_one_whose_engine_has_stopped_is_not_healthy(replica: EngineReplica) -> None:
    replica.check_health()
    replica.__del__()
    with pytest.raises(EngineStoppedError):
        replica.check_health()


async def test_a_replica_without_a_base_can_be_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*given: object, **named: object) -> Base:
        raise ConfigError("there is no such base")

    monkeypatch.setattr(module, "load_base", missing)
    monkeypatch.setattr(module, "log_requests", lambda: None)
    with pytest.raises(CustomDiffusionError, match="no such base"):
        EngineReplica(ServiceSettings())


async def test_the_package_s_log_goes_to_the_replica_s_own_once() -> None:
    log = logging.getLogger("serve")
    before = list(log.handlers), log.level, log.propagate
    log.handlers = []
    try:
        log_requests()
        log_requests()
        (handler,) = log.handlers
        assert isinstance(handler, logging.StreamHandler)
        assert handler.stream is sys.stderr
        assert (log.level, log.propagate) == (logging.INFO, False)
    finally:
        log.handlers, log.level, log.propagate = before
