"""Concepts that merge well, engines over a registry that has them, and services in front."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import torch
from starlette.testclient import TestClient

from cdcore.concepts.concept import Concept
from cdcore.concepts.storage import save_concept
from cdcore.concepts.subject import Subject
from cdcore.merging.caption_bank import CaptionBank, written_captions
from cdcore.merging.caption_statistics import CaptionStatistics, caption_statistics
from cdcore.model.base import Base
from cdcore.model.update import DenseUpdate
from cdcore.registry.registry import Registry
from serve.api.application import http_app
from serve.api.service import Service
from serve.engine.config import EngineConfig
from serve.gateway.host import EngineHost
from serve.gateway.protocol import Gateway
from serve.settings import ServiceSettings
from tests.serve.engine_case import CONFIG, PLAIN_MAP
from tests.tiny import random_update

NOUNS = {"mycat": "cat", "mychair": "chair", "mydog": "dog"}
"""By the name of a concept; its token is ``<NAME>``."""


def make_concept(base: Base, name: str, *, noun: str = "", token: str | None = "") -> Concept:
    """A concept whose prompts differ from others' as much as a tiny text encoder lets them."""
    noun = noun or NOUNS[name]
    seed = list(NOUNS).index(name) if name in NOUNS else len(name)
    row = base.text_encoder.initial_embedding(noun)
    generator = torch.Generator().manual_seed(seed)
    row = row + 3 * row.std() * torch.randn(row.shape, generator=generator)
    shape = base.seam.layout.shape
    common = random_update(shape, seed=99).dense()
    token = f"<{name}>" if token == "" else token
    return Concept(
        name=name,
        update=DenseUpdate(0.3 * common + 0.1 * random_update(shape, seed=seed).dense()),
        tokens={} if token is None else {token: row},
        subjects=(Subject(class_noun=noun, token=token),),
        base_name=base.name,
        base_fingerprint=base.fingerprint,
    )


def save_mergeable(base: Base, folder: Path) -> dict[str, Path]:
    """Write the concepts of `NOUNS`; returns their files by name."""
    files = {name: folder / f"{name}.safetensors" for name in NOUNS}
    for name, file in files.items():
        save_concept(make_concept(base, name), file, base)
    return files


@cache
def few_captions() -> CaptionBank:
    """Enough captions for the tiny base."""
    captions = written_captions(pocket=True)
    return CaptionBank(fitted=captions.fitted[:100], held_out=captions.held_out[:20])


def statistics_of(base: Base) -> CaptionStatistics:
    """Caption statistics of the tiny base."""
    return caption_statistics(base, few_captions())


@contextmanager
def hosting(
    base: Base, registry: Registry, folder: Path, config: EngineConfig = CONFIG
) -> Iterator[EngineHost]:
    """An engine over a registry, warm; afterwards no lease may be left."""
    host = EngineHost(base, registry, folder, config, captions=few_captions(), preview=PLAIN_MAP)
    host.start(120)
    try:
        yield host
    finally:
        host.close()
    assert host.engine.store.leases == 0


@contextmanager
def serving(
    host: Gateway, registry: Registry, examples: Sequence[Path] = (), **settings: Any
) -> Iterator[TestClient]:
    """A client on this machine of a service over a gateway; a defect is a 500, as for anyone."""
    given = ServiceSettings(registry=str(registry.store.address()), poll_s=0.05, **settings)
    app = http_app(Service(given, host, registry, examples))
    with TestClient(
        app,
        base_url="http://127.0.0.1:8000",
        client=("127.0.0.1", 50000),
        raise_server_exceptions=False,
    ) as client:
        yield client
