"""Concept files: how a concept is written, and read without trust.

``NAME.safetensors`` holds ``update.weight``, or ``update.left`` and ``update.right``, or
``update.left.N`` and ``update.right.N`` for each matrix; ``token.0``, ``token.1`` ..., the rows of
its subjects' tokens in their order; and its merge inputs (`cdcore.concepts.merge_inputs`):
``constraint.features`` (s, d), ``sketch.features`` and ``heldout.features``, and under
``constraint.values`` (s, D) and so on the update applied to them, where the update is dense: those
of a factored one follow at once. The metadata is one JSON text.
"""

import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from cdcore.concepts.concept import Concept
from cdcore.concepts.header import METADATA_KEY, SCHEMA_VERSION, open_concept_file, read_metadata
from cdcore.concepts.merge_inputs import MergeInputs, describe
from cdcore.concepts.stored_tensors import ConceptTensors
from cdcore.files import replacing
from cdcore.model.base import Base
from cdcore.model.update import DenseUpdate

__all__ = ["load_concept", "load_merge_inputs", "save_concept"]

_OF_MERGE_INPUTS = ("name", "subjects", "base_name", "base_fingerprint")


def save_concept(concept: Concept, path: Path, source: Base | MergeInputs) -> None:
    """Write a concept file in one durable step, update and rows in half precision.

    Args:
        concept: What to write.
        path: Ends in ``.safetensors``.
        source: The base it was trained on, for the features of its merge inputs; or the merge
            inputs themselves.

    Raises:
        BaseMismatchError: The concept was trained on another base.
        OSError: The file cannot be written.
    """
    inputs = source if isinstance(source, MergeInputs) else describe(concept, source)
    update = concept.update.to("cpu", torch.float16)
    tensors = {f"update.{part}": tensor for part, tensor in update.tensors().items()}
    tensors |= {f"token.{number}": row for number, row in enumerate(concept.tokens.values())}
    for name, rows in inputs.rows.items():
        tensors[f"{name}.features"] = rows.features
        if isinstance(update, DenseUpdate):
            tensors[f"{name}.values"] = rows.values
    halves = {name: tensor.detach().cpu().half().contiguous() for name, tensor in tensors.items()}
    with replacing(path) as temporary:
        save_file(halves, temporary, metadata={METADATA_KEY: json.dumps(_metadata(concept))})


def load_concept(path: Path) -> Concept:
    """Read a concept file.

    Returns:
        The concept on the CPU, in float32.

    Raises:
        ConceptFileError: There is no such file, it is no concept file, or a newer version wrote it.
    """
    with open_concept_file(path) as file:
        metadata = read_metadata(file, path)
        tensors = ConceptTensors(file, path)
        return Concept(
            **metadata, update=tensors.update(), tokens=tensors.tokens(metadata["subjects"])
        )


def load_merge_inputs(path: Path) -> MergeInputs:
    """Read the merge inputs of a concept file, without its update where that is dense.

    Raises:
        ConceptFileError: As for `load_concept`.
    """
    with open_concept_file(path) as file:
        metadata = read_metadata(file, path)
        tensors = ConceptTensors(file, path)
        rows = tensors.rows()
        return MergeInputs(
            **{name: metadata[name] for name in _OF_MERGE_INPUTS},
            tokens=tensors.tokens(metadata["subjects"]),
            constraint=rows["constraint"],
            sketch=rows.get("sketch"),
            held_out=rows.get("heldout"),
        )


def _metadata(concept: Concept) -> dict[str, Any]:
    described = {
        field_.name: getattr(concept, field_.name)
        for field_ in fields(concept)
        if field_.name not in {"update", "tokens"}
    }
    described["subjects"] = [asdict(subject) for subject in concept.subjects]
    return {"schema_version": SCHEMA_VERSION, **described}
