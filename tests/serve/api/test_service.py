"""Tests of `serve.api.service`."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from cdcore.errors import ConfigError, EngineStoppedError
from cdcore.registry.registry import Registry
from serve.api import service as module
from serve.api.service import Service
from serve.catalogue.caller import ANYONE
from serve.gateway.facts import ServiceFacts
from serve.gateway.host import EngineHost
from serve.settings import ServiceSettings

pytestmark = pytest.mark.anyio


class Slow:
    """A gateway whose engines are not ready until told so."""

    def __init__(self, host: EngineHost) -> None:
        self._host = host
        self.ready = asyncio.Event()

    def __getattr__(self, name: str) -> object:
        return getattr(self._host, name)

    async def facts(self) -> ServiceFacts:
        await self.ready.wait()
        return await self._host.facts()


async def test_it_waits_for_engines_and_then_publishes_the_examples(
    host: EngineHost,
    mergeable: Mapping[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_WAIT_S", 0.01)
    registry, gateway = Registry(tmp_path / "registry"), Slow(host)
    service = Service(
        ServiceSettings(),
        gateway,  # type: ignore[arg-type]
        registry,
        [mergeable["mycat"], mergeable["mydog"]],
    )
    await service.start()
    with pytest.raises(EngineStoppedError, match="no engine is ready yet"):
        await service.facts()
    assert registry.names() == []
    gateway.ready.set()
    assert (await service.facts()) == (await service.facts())
    monkeypatch.setattr(module, "_WAIT_S", 10.0)
    await service.examples_published()
    assert [known.name for known in service.catalogue.concepts(ANYONE)] == ["mycat", "mydog"]
    await service.close()


async def test_an_engine_draws_though_the_examples_do_not_come(
    host: EngineHost,
    mergeable: Mapping[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_WAIT_S", 0.01)
    slow = Slow(host)
    service = Service(
        ServiceSettings(),
        slow,  # type: ignore[arg-type]
        Registry(tmp_path / "registry"),
        [mergeable["mycat"]],
    )
    await service.start()
    await service.examples_published()
    assert service.catalogue.count == 0
    # The next question is answered at once: a probe of readiness comes every few seconds.
    monkeypatch.setattr(module, "_WAIT_S", 60.0)
    await asyncio.wait_for(service.examples_published(), 5)
    await service.close()


async def test_broken_keys_are_told_before_anything_runs(host: EngineHost, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"keys\.json"):
        Service(
            ServiceSettings(keys=str(tmp_path / "keys.json")), host, Registry(tmp_path / "registry")
        )
