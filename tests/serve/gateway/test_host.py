"""Tests of `serve.gateway.host`."""

import asyncio
import io
import zipfile
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from cdcore.concepts.storage import load_concept, load_merge_inputs
from cdcore.errors import (
    ConfigError,
    CustomDiffusionError,
    EngineStoppedError,
    ServingError,
    UnknownConceptError,
)
from cdcore.model.base import Base
from cdcore.registry.registry import Registry
from serve.concepts.mix import ConceptMix, ConceptRef
from serve.engine.request import Done, Failed, Picture, PictureRequest
from serve.gateway.host import EngineHost
from serve.gateway.protocol import Accepted, EngineEvent
from tests.serve.engine_case import SIMPLE
from tests.serve.service_case import hosting

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def references(shared_registry: Registry) -> Mapping[str, ConceptRef]:
    return {
        entry.name: ConceptRef(entry.name, entry.version) for entry in shared_registry.entries()
    }


async def all_events(host: EngineHost, request: PictureRequest) -> list[EngineEvent]:
    return [event async for event in host.draw(request)]


async def failure(host: EngineHost, request: PictureRequest) -> CustomDiffusionError:
    (event,) = await all_events(host, request)
    assert isinstance(event, Failed)
    return event.error


def merged_request(references: Mapping[str, ConceptRef]) -> PictureRequest:
    mix = ConceptMix.of(
        (references["mycat"], 1.0), (references["mychair"], 0.8), method="constrained"
    )
    return replace(SIMPLE, prompt="a <mycat> cat on a <mychair> chair", mix=mix)


async def test_a_merge_is_drawn_from_the_registry(
    host: EngineHost, references: Mapping[str, ConceptRef]
) -> None:
    accepted, picture, done = await all_events(host, merged_request(references))
    assert isinstance(accepted, Accepted)
    assert isinstance(picture, Picture)
    assert isinstance(done, Done)
    assert done.residuals["mycat.constraint"] < 1e-3
    assert (await host.figures())["merges_recent"] >= 1


async def test_refusals_are_events_and_not_raised(
    host: EngineHost, shared_registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = replace(
        SIMPLE, mix=ConceptMix.of((ConceptRef("mycat", "7-0123456789abcdef"), 1), method="")
    )
    assert isinstance(await failure(host, lost), UnknownConceptError)
    assert isinstance(await failure(host, replace(SIMPLE, steps=0)), ConfigError)

    def unreachable(folder: str) -> None:
        raise OSError("/secret/path cannot be reached")

    monkeypatch.setattr(shared_registry.store, "listing", unreachable)
    error = await failure(host, lost)
    assert isinstance(error, ServingError)
    assert "secret" not in str(error)


async def test_a_reader_that_leaves_frees_its_rows(host: EngineHost) -> None:
    before = (await host.figures())["cancelled"]
    async with aclosing(host.draw(replace(SIMPLE, steps=900, deterministic=False))) as events:
        assert isinstance(await anext(events), Accepted)
    for _ in range(15_000):
        figures = await host.figures()
        if figures["requests"] == 0:
            break
        await asyncio.sleep(0.02)
    assert figures["requests"] == 0
    assert figures["cancelled"] == before + 1


@pytest.mark.parametrize("method", ["constrained", "sum"])
async def test_a_kept_merge_is_a_concept_that_merges_again(
    host: EngineHost, references: Mapping[str, ConceptRef], tmp_path: Path, method: str
) -> None:
    weighted = [(references["mycat"], 1.0), (references["mychair"], 0.8)]
    kept = await host.merge(weighted, method, "both")
    path = tmp_path / "both.safetensors"
    path.write_bytes(kept.data)
    concept = load_concept(path)
    assert concept.name == "both"
    assert set(concept.phrases) == {"<mycat> cat", "<mychair> chair"}
    assert load_merge_inputs(path).name == "both"
    assert kept.report["method"] == method
    assert {part["name"] for part in concept.parents} == {"mycat", "mychair"}


async def test_exports_come_from_the_registry(
    host: EngineHost, shared_registry: Registry, references: Mapping[str, ConceptRef]
) -> None:
    whole = await host.export(references["mycat"], "concept")
    assert whole.data == shared_registry.resolve("mycat").read_bytes()
    packed = await host.export(references["mycat"], "comfyui")
    with zipfile.ZipFile(io.BytesIO(packed.data)) as archive:
        text = archive.read("comfyui/USE.md").decode()
    assert "/tmp" not in text
    assert (await host.export(references["mycat"], "adobe")).data
    with pytest.raises(ConfigError, match="expected one of"):
        await host.export(references["mycat"], "exe")


async def test_a_closed_host_says_so(
    tiny_base: Base, shared_registry: Registry, tmp_path: Path
) -> None:
    with hosting(tiny_base, shared_registry, tmp_path) as host:
        host.close(drain_s=5.0)
        assert isinstance(await failure(host, SIMPLE), EngineStoppedError)
        with pytest.raises(EngineStoppedError):
            await host.figures()
