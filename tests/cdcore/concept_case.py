"""Concepts without training: made of a random update and the rows of their nouns."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cdcore.concepts.concept import Concept
from cdcore.concepts.storage import save_concept
from cdcore.concepts.subject import Subject
from cdcore.model.base import Base
from tests.tiny import random_update

__all__ = ["make_concept", "write_concept"]


def make_concept(
    base: Base,
    *nouns: str,
    name: str = "mycat",
    tokens: Sequence[str | None] | None = None,
    seed: int = 0,
    rank: int | None = None,
    rows: int | None = None,
    **changes: Any,
) -> Concept:
    """Make a concept of a base.

    Args:
        base: The base that it is for.
        nouns: The class noun of each subject; one cat without any.
        name: The concept's name.
        tokens: The modifier token of each subject, or None for one without; unset, the first is
            ``<name>`` and those after it ``<name2>``, ``<name3>``.
        seed: The seed of the update.
        rank: The rank of the update; None makes a dense one.
        rows: The seed of random rows for the tokens; None takes those of the nouns.
        changes: Other fields of the concept.
    """
    nouns = nouns or ("cat",)
    if tokens is None:
        tokens = [f"<{name}{number if number > 1 else ''}>" for number in range(1, 1 + len(nouns))]
    named = list(zip(nouns, tokens, strict=True))
    generator = torch.Generator().manual_seed(rows or 0)

    def row(noun: str) -> Tensor:
        if rows is None:
            return base.text_encoder.initial_embedding(noun)
        return torch.randn(base.seam.layout.text_width, generator=generator)

    described: dict[str, Any] = {
        "name": name,
        "update": random_update(base.seam.layout.shape, seed=seed, rank=rank),
        "tokens": {token: row(noun) for noun, token in named if token is not None},
        "subjects": tuple(Subject(class_noun=noun, token=token) for noun, token in named),
        "base_name": base.name,
        "base_fingerprint": base.fingerprint,
    }
    return Concept(**described | changes)


def write_concept(base: Base, folder: Path, *nouns: str, **described: Any) -> Path:
    """Write what `make_concept` makes as ``NAME.safetensors``, and return the path."""
    concept = make_concept(base, *nouns, **described)
    path = folder / f"{concept.name}.safetensors"
    save_concept(concept, path, base)
    return path
