"""The header of a concept file: what it says of itself, read without torch and without its values.

Most of what can be wrong with a concept file is wrong here: it is missing, foreign, damaged, of a
newer version or of a base of another shape. A command finds that out before it imports torch.

D rows of the K/V stack, d text width.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from cdcore.concepts.foreign_kinds import archive_kind, no_concept
from cdcore.concepts.stored_shapes import StoredShapes, damaged
from cdcore.concepts.subject import Subject
from cdcore.errors import BaseMismatchError, ConceptFileError, TokenError, UpdateShapeError
from cdcore.files import readable

if TYPE_CHECKING:
    from cdcore.model.base_files import BaseFiles

__all__ = [
    "METADATA_KEY",
    "SCHEMA_VERSION",
    "ConceptHeader",
    "open_concept_file",
    "read_header",
    "read_metadata",
]

SCHEMA_VERSION = 1
"""The newest version of the metadata that is read, and the one that is written."""

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

_TORCH_BEGINNINGS = (b"PK\3\4", b"\x80\2")
"""Of torch's files, today and before 1.6."""

_DAMAGE = (
    AttributeError,
    KeyError,
    RecursionError,
    TypeError,
    ValueError,
    UpdateShapeError,
    TokenError,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class ConceptHeader:
    """What a concept file says of itself.

    Attributes:
        name: The name of the concept.
        subjects: What it teaches.
        base_name: The base it was trained on, as the user named it.
        base_fingerprint: That base's fingerprint.
        shape: The shape (D, d) of its update.
    """

    name: str
    subjects: tuple[Subject, ...]
    base_name: str
    base_fingerprint: str
    shape: tuple[int, int]

    def check_shape(self, base: "BaseFiles") -> None:
        """Refuse a base of another shape; whether its values are the right ones needs the base.

        Raises:
            BaseMismatchError: The shapes differ.
        """
        known = (base.stack_rows or self.shape[0], base.text_width or self.shape[1])
        if known != self.shape:
            raise BaseMismatchError(
                f"concept {self.name!r}: the update has shape {self.shape}, the K/V stack of base "
                f"{base.name!r} {known}; use the base that the concept was trained on, "
                f"{self.base_name}"
            )


def read_header(path: Path) -> ConceptHeader:
    """Read what a concept file says of itself.

    Raises:
        ConceptFileError: There is no such file, it is no concept file, or a newer version wrote it.
    """
    # numpy's framework reads no value here, and spares the import of torch.
    with open_concept_file(path, framework="np") as file:
        metadata = read_metadata(file, path)
        shapes = StoredShapes(file, path)
        shapes.check_tokens(metadata["subjects"])
        names = ("name", "subjects", "base_name", "base_fingerprint")
        return ConceptHeader(
            **{name: metadata[name] for name in names}, shape=shapes.update_shape()
        )


@contextmanager
def open_concept_file(path: Path, *, framework: str = "pt") -> Iterator[Any]:
    """Open a concept file, and turn what can be wrong with it into one error.

    Args:
        path: Where it lies.
        framework: What safetensors makes of its tensors, "pt" or "np".

    Raises:
        ConceptFileError: There is no such file, or what is done with it finds damage.
    """
    # A name that no disk can hold is no file either.
    if not os.path.isfile(path):
        what = "a folder" if os.path.isdir(path) else "no such file"
        raise ConceptFileError(f"{path}: {what}; give a concept file (NAME.safetensors)")
    try:
        with readable(path) as named, safe_open(named, framework=framework) as file:
            yield file
    except (SafetensorError, OSError) as error:
        raise ConceptFileError(f"{path}: {_unreadable(path, error)}") from error
    except _DAMAGE as error:
        raise damaged(path, f"{error!r:.200}") from error


def read_metadata(file: Any, path: Path) -> dict[str, Any]:
    """Return the metadata of an open concept file, as the fields of a concept.

    Args:
        file: What `open_concept_file` yields.
        path: Where it lies, for messages.

    Raises:
        ConceptFileError: There is none, a newer version wrote it, or an entry is of another kind.
    """
    text = (file.metadata() or {}).get(METADATA_KEY)
    if text is None:
        raise ConceptFileError(f"{path}: {no_concept(file.keys())}")
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


def _unreadable(path: Path, error: Exception) -> str:
    kind = archive_kind(path)
    if kind is not None:
        return kind
    with suppress(OSError), path.open("rb") as file:
        if file.read(4).startswith(_TORCH_BEGINNINGS):
            return (
                "a torch file, such as another tool's delta, and not a concept file; "
                "rayjobs/convert.py --to concept makes one of a delta"
            )
    return f"not a readable safetensors file ({error}); train or export it again"


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
