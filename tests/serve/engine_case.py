"""Concepts of the tiny base as files, and engines that serve them."""

import os
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from cdcore.concepts.concept import Concept
from cdcore.concepts.storage import load_concept, save_concept
from cdcore.concepts.subject import Subject
from cdcore.errors import ConceptFileError
from cdcore.model.base import Base
from cdcore.model.update import DenseUpdate
from cdcore.sampling.pipeline import sample
from cdcore.sampling.request import Request
from serve.concepts.mix import ConceptMix, ConceptRef
from serve.concepts.preparation import Merged, MergePart
from serve.concepts.store import ConceptSource
from serve.engine.config import EngineConfig
from serve.engine.engine import Engine
from serve.engine.preview import PreviewMap
from serve.engine.request import PictureRequest
from tests.tiny import random_update

ALICE, BORIS, CLARA = (ConceptRef(name, "1-abc") for name in ("alice", "boris", "clara"))
FILES = {ALICE: None, BORIS: None, CLARA: 2}
"""The rank of each concept's update, with factors for each matrix; None is dense."""

SLOTS = 3
CONFIG = EngineConfig(slots=SLOTS, backlog=2000)

SIMPLE = PictureRequest(
    prompt="a red cat", seeds=(7,), steps=4, guidance_scale=2.0, deterministic=True
)
PLAIN_MAP = PreviewMap(torch.eye(3, 4), torch.zeros(3))


class FolderSource:
    """Concept files in a folder, with a gate that loads must pass."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.fetched: Counter[ConceptRef] = Counter()
        self.gate = threading.Event()
        self.gate.set()

    def path(self, reference: ConceptRef) -> Path:
        return self.folder / f"{reference.name}.safetensors"

    def file_bytes(self, reference: ConceptRef) -> int:
        if not self.path(reference).is_file():
            raise ConceptFileError(f"there is no concept {reference.name!r}")
        return self.path(reference).stat().st_size

    def fetch(self, reference: ConceptRef, path: Path) -> None:
        self.fetched[reference] += 1
        assert self.gate.wait(60)
        path.unlink()
        os.link(self.path(reference), path)


def save_concepts(base: Base, folder: Path) -> None:
    """Write the files."""
    shape = base.seam.layout.shape
    for number, (reference, rank) in enumerate(FILES.items(), start=1):
        name = reference.name
        concept = Concept(
            name=name,
            update=random_update(shape, seed=number, rank=rank, widths=base.seam.layout.widths),
            tokens={f"<{name}>": base.text_encoder.initial_embedding("cat") * 1.5},
            subjects=(Subject(class_noun="cat", token=f"<{name}>"),),
            base_name=base.name,
            base_fingerprint=base.fingerprint,
        )
        save_concept(concept, folder / f"{name}.safetensors", base)


def mixed() -> list[PictureRequest]:
    """As many as there are rows, of equal length, and different in all else."""
    return [
        replace(SIMPLE, mix=mix(ALICE), prompt="an <alice> cat", seeds=(1,)),
        replace(SIMPLE, mix=mix(BORIS, CLARA), prompt="<boris> cat and <clara> cat", seeds=(2,),
                sampler="ddim", eta=0.5, guidance_scale=5.0, negative_prompt="a barn"),
        replace(SIMPLE, mix=mix(CLARA, weight=0.6), guidance_scale=1.0, seeds=(3,)),
    ]  # fmt: skip


def weighted_sum(parts: Sequence[MergePart], method: str) -> Merged:
    """The simplest merge there is; "broken" makes numbers that are none, "refused" none at all."""
    if method == "refused":
        raise ConceptFileError("these concepts do not go together")
    total = torch.stack([weight * concept.update.dense() for _, concept, weight in parts]).sum(0)
    if method == "broken":
        total = total * torch.nan
    tokens: dict[str, Tensor] = {}
    for _, concept, _ in parts:
        tokens |= concept.tokens
    return Merged(DenseUpdate(total), tokens, {"residual": 0.25})


def mix(*references: ConceptRef, weight: float = 1.0, method: str = "sum") -> ConceptMix:
    """Concepts of equal weights."""
    return ConceptMix.of(*((reference, weight) for reference in references), method=method)


@contextmanager
def running(
    base: Base,
    source: ConceptSource,
    folder: Path,
    config: EngineConfig = CONFIG,
    preview: PreviewMap | None = PLAIN_MAP,
) -> Iterator[Engine]:
    """An engine that is warm; afterwards no lease may be left."""
    engine = Engine(base, source, folder, config, merge=weighted_sum, preview=preview)
    engine.start()
    try:
        assert engine.wait_ready(120)
        yield engine
    finally:
        engine.close()
    assert engine.store.leases == 0


def expected(
    base: Base, source: FolderSource, requests: Sequence[PictureRequest]
) -> Mapping[int, Tensor]:
    """What `cdcore.sampling` makes of the first pictures of requests, in one batch, by position."""
    rows = []
    for request in requests:
        weighted = [
            MergePart(reference, load_concept(source.path(reference)), weight)
            for reference, weight in request.mix.parts
        ]
        update, tokens = None, None
        if len(weighted) == 1:
            _, concept, weight = weighted[0]
            update, tokens = concept.update.scaled(weight), concept.tokens
        elif weighted:
            update, tokens, _ = weighted_sum(weighted, request.mix.method)
        rows.append(
            Request(
                prompt=request.prompt,
                seed=request.seeds[0],
                steps=request.steps,
                guidance_scale=request.guidance_scale,
                sampler=request.sampler,
                eta=request.eta,
                negative_prompt=request.negative_prompt,
                update=update,
                tokens=tokens,
            )
        )
    return dict(enumerate(sample(base, rows)))
