"""The result of a cell: embeddings of its pictures, in one file that appears whole."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from cdcore.files import replacing

__all__ = ["CellRows", "is_done", "load_notes", "load_rows"]

_DIGEST_KEY, _NOTES_KEY = "digest", "notes"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CellRows:
    """What embedders make of B pictures; rows of length 1.

    Attributes:
        clip: (B, d) of the embedder that also reads texts.
        dino: (B, e) of the one that does not.
        text: (B, d) of each picture's plain text; None where there is none.
        present: (B,) 1 where the judge finds all things that the text names, else 0; None where
            nobody has looked.
    """

    clip: Tensor
    dino: Tensor
    text: Tensor | None = None
    present: Tensor | None = None

    def save(self, path: Path, digest: str, notes: Sequence[str] = ()) -> None:
        """Write a file in one durable step.

        Args:
            path: The file.
            digest: Of the cell, as for `is_done`.
            notes: What the user should know of how the pictures were made.

        Raises:
            OSError: The file cannot be written.
        """
        parts = {name: getattr(self, name) for name in _names()}
        tensors = {
            name: part.detach().cpu().float().contiguous()
            for name, part in parts.items()
            if part is not None
        }
        metadata = {_DIGEST_KEY: digest, _NOTES_KEY: json.dumps(list(notes))}
        with replacing(path) as temporary:
            save_file(tensors, temporary, metadata=metadata)

    @classmethod
    def joined(cls, rows: "Sequence[CellRows]") -> "CellRows":
        """Put the rows of several cells below each other; they have the same parts."""
        parts: dict[str, Any] = {}
        for name in _names():
            own = [getattr(one, name) for one in rows]
            parts[name] = None if own[0] is None else torch.cat(own)
        return cls(**parts)


def is_done(path: Path, digest: str) -> bool:
    """Whether a file holds the result of a cell with this digest."""
    try:
        with safe_open(path, framework="pt") as file:
            return (file.metadata() or {}).get(_DIGEST_KEY) == digest
    except (OSError, SafetensorError):
        return False


def load_rows(path: Path) -> CellRows:
    """Read a result.

    Raises:
        OSError: There is none.
    """
    with safe_open(path, framework="pt") as file:
        return CellRows(**{name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118


def load_notes(path: Path) -> tuple[str, ...]:
    """Return the notes of a result; none of an earlier version's.

    Raises:
        OSError: There is no result.
    """
    with safe_open(path, framework="pt") as file:
        return tuple(json.loads((file.metadata() or {}).get(_NOTES_KEY, "[]")))


def _names() -> list[str]:
    return [part.name for part in fields(CellRows)]
