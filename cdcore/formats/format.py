"""What a format is: how it is recognised, read and written, and what it needs for that."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import save_file
from torch import Tensor

from cdcore.concepts.concept import Concept
from cdcore.files import replacing, write_text
from cdcore.formats.tensors.container import Content
from cdcore.formats.tensors.kv_base import KVBase
from cdcore.model.update import Update

__all__ = ["Artifact", "Foreign", "Format", "Holds"]

Holds = Literal["weights", "difference", "factors", "rows"]
"""What a format stores of the stack: W0 + Delta, Delta, factors of Delta, or nothing."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Foreign:
    """What another tool's file says: less than a concept, it names neither noun nor base.

    Attributes:
        update: Difference of the K/V stack.
        tokens: The row (d,) of each token, by the name it has there.
        notes: What the user should know.
    """

    update: Update
    tokens: Mapping[str, Tensor]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Artifact:
    """One file to write.

    Attributes:
        path: Relative, in names that every system takes; its suffix says how it is stored.
        tensors: The tensors of a safetensors or torch file; nested only in the latter.
        metadata: Texts of a safetensors file.
        text: The text of any other file.
    """

    path: str
    tensors: Mapping[str, Any] | None = None
    metadata: Mapping[str, str] | None = None
    text: str = ""

    def save(self, target: Path) -> None:
        """Write it to ``target`` in one durable step, whatever its own path.

        Raises:
            OSError: The file cannot be written.
        """
        if self.tensors is None:
            write_text(target, self.text)
            return
        # Views of one storage would be stored whole, each time or not at all.
        tensors = _compact(self.tensors)
        with replacing(target) as temporary:
            if target.suffix == ".safetensors":
                save_file(tensors, temporary, metadata=dict(self.metadata or {"format": "pt"}))
            else:
                torch.save(tensors, os.fspath(temporary))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Format:
    """A file format, or a folder of files.

    Attributes:
        name: What ``--to`` takes.
        title: One line for people.
        holds: What of the stack.
        suffixes: The suffixes of the file; none where a folder is written.
        write: Makes the files of a concept. ``holds`` decides what its update must be: dense or
            not is all the same, except that ``factors`` takes none that is dense.
        recognises: Whether a file's content is of this format; None where it is only written.
        read: Reads such a content.
        tokens: Names the tokens of such a content in order, without a base; None where only a base
            tells which of several small files are tokens.
        has_tokens: Whether the rows of the modifier tokens are in its files.
        earlier: Finds in a folder the files of the concept that was written there before, which
            would be read together with a new one's; None where names alone tell files apart.
    """

    name: str
    title: str
    holds: Holds
    suffixes: tuple[str, ...]
    write: Callable[[Concept, KVBase, torch.dtype], tuple[Artifact, ...]]
    recognises: Callable[[Content], bool] | None = None
    read: Callable[[Content, KVBase], Foreign] | None = None
    tokens: Callable[[Content], Sequence[str] | None] | None = None
    has_tokens: bool = True
    earlier: Callable[[Path], Sequence[Path]] | None = None


def _compact(node: Any) -> Any:
    if isinstance(node, Tensor):
        return node.detach().cpu().clone(memory_format=torch.contiguous_format)
    if isinstance(node, Mapping):
        return {key: _compact(value) for key, value in node.items()}
    return [_compact(value) for value in node]
