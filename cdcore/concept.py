"""A concept and its file: an update, the rows of its modifier tokens, and where they come from.

``NAME.safetensors`` holds ``update.weight``, or ``update.left`` and ``update.right``, or
``update.left.N`` and ``update.right.N`` for each matrix; ``token.0``, ``token.1`` ..., the rows of
its subjects' tokens in their order; and its card (`cdcore.card`):
``constraint.features`` (s, d), ``sketch.features`` and ``heldout.features``, and under
``constraint.values`` (s, D) and so on the update applied to them, where the update is dense: those
of a factored one follow at once. The metadata is one JSON text.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from cdcore.base import Base
from cdcore.card import Card, describe
from cdcore.concept_tensors import ConceptTensors, damaged
from cdcore.errors import BaseMismatchError, ConceptFileError, TokenError, UpdateShapeError
from cdcore.files import replacing
from cdcore.subject import Subject
from cdcore.update import Update

__all__ = [
    "METADATA_KEY",
    "SCHEMA_VERSION",
    "Concept",
    "load_card",
    "load_concept",
    "save_concept",
]

SCHEMA_VERSION = 1
METADATA_KEY = "custom_diffusion"
"""Of the JSON text in a concept file's metadata."""
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
_ON_CARD = ("name", "subjects", "base_name", "base_fingerprint")
_DAMAGE = (
    AttributeError,
    KeyError,
    RecursionError,
    TypeError,
    ValueError,
    UpdateShapeError,
    TokenError,
)
_LIBRARIES = ("torch", "diffusers", "transformers", "safetensors")


@cache
def _versions() -> Mapping[str, str]:
    """Return the versions of the libraries; reading them takes longer than a merge."""
    return {library: version(library) for library in _LIBRARIES}


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Concept:
    """What a base was taught.

    Attributes:
        name: Of the concept, and of its file.
        update: Difference of the K/V stack.
        tokens: The embedding row (d,) of each modifier token, in the order of the subjects; empty
            where none of them has one.
        subjects: What it teaches, at least one; more than one when trained together or merged.
        base_name: The base it was trained on, as the user named it.
        base_fingerprint: That base's fingerprint.
        training: The training configuration.
        metrics: Figures of its quality.
        parents: Of a merge: the concepts it was made from.
        created_at: ISO 8601, UTC.
        libraries: Versions of the libraries it was made with.

    Raises:
        ValueError: There is no subject, or the tokens are not those of the subjects.
    """

    name: str
    update: Update
    tokens: Mapping[str, Tensor]
    subjects: tuple[Subject, ...]
    base_name: str
    base_fingerprint: str
    training: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    parents: tuple[Mapping[str, Any], ...] = ()
    created_at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    libraries: Mapping[str, str] = field(default_factory=lambda: dict(_versions()))

    def __post_init__(self) -> None:
        """Refuse rows that do not belong to the subjects."""
        named = [subject.token for subject in self.subjects if subject.token is not None]
        if not self.subjects or named != list(self.tokens):
            raise ValueError(
                f"concept {self.name!r} has rows for the tokens {list(self.tokens)}, its "
                f"{len(self.subjects)} subjects have {named}"
            )

    @property
    def phrases(self) -> tuple[str, ...]:
        """How prompts name each subject, such as ``<mycat> cat``."""
        return tuple(subject.phrase for subject in self.subjects)

    @property
    def target_prompts(self) -> tuple[str, ...]:
        """The prompts whose outcome defines the concept: two for each subject, in their order."""
        return tuple(prompt for subject in self.subjects for prompt in subject.target_prompts)

    def check_base(self, base: Base, *, allow_other_base: bool = False) -> None:
        """Refuse a base that the concept was not trained on.

        Raises:
            BaseMismatchError: The shapes differ, or the values do and that is not allowed.
        """
        try:
            base.seam.layout.check(self.update)
        except UpdateShapeError as error:
            raise BaseMismatchError(f"concept {self.name!r}: {error}") from error
        row_shape = (base.text_encoder.embedding_table.shape[1],)
        for token, row in self.tokens.items():
            if tuple(row.shape) != row_shape:
                raise BaseMismatchError(
                    f"concept {self.name!r}: the row of {token} has shape {tuple(row.shape)}, a "
                    f"token of this base {row_shape}; use the base it was trained on"
                )
        if self.base_fingerprint != base.fingerprint and not allow_other_base:
            raise BaseMismatchError(
                f"concept {self.name!r} was trained on base {self.base_name!r} "
                f"({self.base_fingerprint[:12]}), this is {base.name!r} ({base.fingerprint[:12]}); "
                "use that base, or allow another base explicitly"
            )

    def renamed(self, name: str) -> "Concept":
        """Return the concept under another name; its tokens keep theirs."""
        return replace(self, name=name)


def save_concept(concept: Concept, path: Path, source: Base | Card) -> None:
    """Write a concept file in one durable step, update and rows in half precision.

    Args:
        concept: What to write.
        path: Ends in ``.safetensors``.
        source: The base it was trained on, for the features of its card; or the card itself.

    Raises:
        BaseMismatchError: It was trained on another base.
        OSError: The file cannot be written.
    """
    card = source if isinstance(source, Card) else describe(concept, source)
    update = concept.update.to("cpu", torch.float16)
    tensors = {f"update.{part}": tensor for part, tensor in update.tensors().items()}
    tensors |= {f"token.{number}": row for number, row in enumerate(concept.tokens.values())}
    for name, rows in card.rows.items():
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


def load_card(path: Path) -> Card:
    """Read the card of a concept file, without its update where that is dense.

    Raises:
        ConceptFileError: As for `load_concept`.
    """
    with _reading(path) as file:
        metadata = _read_metadata(file, path)
        tensors = ConceptTensors(file, path)
        rows = tensors.rows()
        return Card(
            **{name: metadata[name] for name in _ON_CARD},
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
