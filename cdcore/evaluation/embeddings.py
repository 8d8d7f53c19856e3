"""The result of a cell: embeddings of its pictures, in one file that appears whole."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from cdcore.files import replacing

__all__ = ["CellRows", "is_done", "load_rows"]

_DIGEST_KEY = "digest"


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

    def save(self, path: Path, digest: str) -> None:
        """Write a file in one durable step.

        Raises:
            OSError: The file cannot be written.
        """
        parts = {name: getattr(self, name) for name in _names()}
        tensors = {
            name: part.detach().cpu().float().contiguous()
            for name, part in parts.items()
            if part is not None
        }
        with replacing(path) as temporary:
            save_file(tensors, temporary, metadata={_DIGEST_KEY: digest})

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


def _names() -> list[str]:
    return [part.name for part in fields(CellRows)]
