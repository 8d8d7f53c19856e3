"""Concept files: how a concept is written, and read without trust.

``NAME.safetensors`` holds ``update.weight``, or ``update.left`` and ``update.right``, or
``update.left.N`` and ``update.right.N`` for each matrix; ``token.0``, ``token.1`` ..., the rows of
its subjects' tokens in their order; and its merge inputs (`cdcore.concepts.merge_inputs`):
``constraint.features`` (s, d), ``sketch.features`` and ``heldout.features``, and under
``constraint.values`` (s, D) and so on the update applied to them, where the update is dense: those
of a factored one follow at once. The metadata is one JSON text.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from cdcore.concepts.concept import Concept
from cdcore.concepts.merge_inputs import MergeInputs, describe
from cdcore.concepts.stored_tensors import ConceptTensors, damaged
from cdcore.concepts.subject import Subject
from cdcore.errors import ConceptFileError, TokenError, UpdateShapeError
from cdcore.files import replacing
from cdcore.model.base import Base

__all__ = ["METADATA_KEY", "SCHEMA_VERSION", "load_merge_inputs", "load_concept", "save_concept"]

SCHEMA_VERSION = 1


METADATA_KEY = "custom_diffusion"
"""The key of the JSON text in a concept file's metadata."""


_KINDS: Mapping[str, type] = {
    "name": str,
    "subjects": list,
    "base_name": str,
    "base_fingerprint": str,
    "training": dict,
    "metrics": dict,
    "parents": list,
    "created_at": str,
    "libraries": dict,
}
"""What each entry of the metadata must be."""


_OF_MERGE_INPUTS = ("name", "subjects", "base_name", "base_fingerprint")


_DAMAGE = (
    AttributeError,
    KeyError,
    RecursionError,
    TypeError,
    ValueError,
    UpdateShapeError,
    TokenError,
)


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
        if update.weight is not None:
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
    with _reading(path) as file:
        metadata = _read_metadata(file, path)
        tensors = ConceptTensors(file, path)
        return Concept(
            **metadata, update=tensors.update(), tokens=tensors.tokens(metadata["subjects"])
        )


def load_merge_inputs(path: Path) -> MergeInputs:
    """Read the merge inputs of a concept file, without its update where that is dense.

    Raises:
        ConceptFileError: As for `load_concept`.
    """
    with _reading(path) as file:
        metadata = _read_metadata(file, path)
        tensors = ConceptTensors(file, path)
        rows = tensors.rows()
        return MergeInputs(
            **{name: metadata[name] for name in _OF_MERGE_INPUTS},
            tokens=tensors.tokens(metadata["subjects"]),
            constraint=rows["constraint"],
            sketch=rows.get("sketch"),
            held_out=rows.get("heldout"),
        )


@contextmanager
def _reading(path: Path) -> Iterator[Any]:
    """Open a concept file, and turn what can be wrong with it into one error."""
    if not path.is_file():
        what = "a folder" if path.is_dir() else "no such file"
        raise ConceptFileError(f"{path}: {what}; give a concept file (NAME.safetensors)")
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError) as error:
        raise ConceptFileError(
            f"{path}: not a readable safetensors file ({error}); train or export it again"
        ) from error
    except _DAMAGE as error:
        raise damaged(path, f"{error!r:.200}") from error


def _read_metadata(file: Any, path: Path) -> dict[str, Any]:
    text = (file.metadata() or {}).get(METADATA_KEY)
    if text is None:
        raise ConceptFileError(
            f"{path}: a safetensors file, but not a concept file of this project"
        )
    metadata: dict[str, Any] = json.loads(text)
    schema = metadata.pop("schema_version")
    if schema > SCHEMA_VERSION:
        raise ConceptFileError(
            f"{path}: concept file of schema {schema}, this version reads up to {SCHEMA_VERSION}; "
            "update this software"
        )
    for name, kind in _KINDS.items():
        if name in metadata and not isinstance(metadata[name], kind):
            raise damaged(path, f"{name} is {metadata[name]!r:.80}, expected a {kind.__name__}")
    metadata["subjects"] = _subjects(metadata["subjects"], path)
    metadata["parents"] = tuple(dict(parent) for parent in metadata["parents"])
    return metadata


def _subjects(given: Sequence[Mapping[str, Any]], path: Path) -> tuple[Subject, ...]:
    subjects = tuple(Subject(**described) for described in given)
    tokens = [subject.token for subject in subjects if subject.token is not None]
    are_texts = all(isinstance(subject.class_noun, str) for subject in subjects)
    if not subjects or not are_texts or len(set(tokens)) < len(tokens):
        raise damaged(
            path,
            f"subjects is {given!r:.200}, expected one or more, each with a text as class_noun and "
            "a token of its own",
        )
    return subjects


def _metadata(concept: Concept) -> dict[str, Any]:
    described = {
        field_.name: getattr(concept, field_.name)
        for field_ in fields(concept)
        if field_.name not in {"update", "tokens"}
    }
    described["subjects"] = [asdict(subject) for subject in concept.subjects]
    return {"schema_version": SCHEMA_VERSION, **described}
