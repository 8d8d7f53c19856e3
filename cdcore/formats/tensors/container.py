"""Opening a file that somebody else wrote: bounded, without running anything in it.

A file is safetensors, or a torch file. The latter is a pickle: it is read by torch's weights-only
unpickler, and only after its zip directory has shown that it does not grow when it is unpacked.
What comes out is nested mappings of floating-point tensors, whose claimed sizes are checked too: a
tensor of a few stored bytes can claim any shape through its strides.
"""

import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from cdcore.concepts.foreign_kinds import archive_kind, foreign_kind
from cdcore.errors import ConceptFileError, first_line
from cdcore.files import readable
from cdcore.model.checkpoint_header import lightning_checkpoints

__all__ = ["MAX_BYTES", "Content", "open_content", "read_selected"]

MAX_BYTES = 4 * 2**30
"""The most of a file and of all its tensors; cross-attention of SDXL in float32 takes 2.2 GB."""
_MAX_BASE_BYTES = 16 * 2**30
"""The most bytes of a base's U-Net, of which little is read."""
_MAX_ENTRIES = 20_000
_MAX_DEPTH = 4
_ZIP_MAGIC = b"PK\x03\x04"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Content:
    """What a file holds.

    Attributes:
        path: The path of the file.
        tree: Mappings, and lists, of tensors.
        metadata: Texts of a safetensors file.
    """

    path: Path
    tree: Mapping[str, Any]
    metadata: Mapping[str, str]


def open_content(path: Path) -> Content:
    """Read a file of tensors.

    Raises:
        ConceptFileError: The file cannot be read, is too large, or holds anything but tensors.
    """
    _check_size(path, MAX_BYTES)
    with path.open("rb") as file:
        is_zip = file.read(len(_ZIP_MAGIC)) == _ZIP_MAGIC
    tree, metadata = (_unpickled(path, MAX_BYTES), {}) if is_zip else _safetensors(path)
    try:
        _check_tree(path, tree)
    except ConceptFileError as error:
        # Some tools keep numbers and texts among the tensors.
        kind = foreign_kind(map(str, tree))
        if kind is not None:
            raise ConceptFileError(f"{path}: {kind}") from error
        raise
    return Content(path=path, tree=tree, metadata=metadata)


def read_selected(path: Path, is_wanted: Callable[[str], bool]) -> dict[str, Tensor]:
    """Read the tensors of a model file whose names are wanted, and no others.

    Raises:
        ConceptFileError: The file cannot be read, or is too large.
    """
    _check_size(path, _MAX_BASE_BYTES)
    with path.open("rb") as file:
        is_zip = file.read(len(_ZIP_MAGIC)) == _ZIP_MAGIC
    if not is_zip:
        return _safetensors(path, is_wanted)[0]
    tree = _unpickled(path, _MAX_BASE_BYTES)
    inner = tree.get("state_dict", tree)
    found = {key: inner[key] for key in inner if isinstance(key, str) and is_wanted(key)}
    _check_tree(path, found)
    return found


def _check_size(path: Path, most: int) -> None:
    if not path.is_file():
        raise ConceptFileError(f"{path}: no such file")
    size = path.stat().st_size
    if size > most:
        raise ConceptFileError(
            f"{path}: {size / 2**30:.1f} GB, at most {most / 2**30:.0f} GB are read; is it a whole "
            "model rather than a concept?"
        )


def _safetensors(
    path: Path, is_wanted: Callable[[str], bool] | None = None
) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with readable(path) as named, safe_open(named, framework="pt") as file:
            names = [name for name in file.keys() if is_wanted is None or is_wanted(name)]  # noqa: SIM118
            return {name: file.get_tensor(name) for name in names}, dict(file.metadata() or {})
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise ConceptFileError(
            f"{path}: neither a safetensors file nor a torch file of today "
            f"({_reason(error)}); is it whole? A file of a very old torch must be saved again"
        ) from error


def _unpickled(path: Path, most: int) -> Mapping[str, Any]:
    kind = archive_kind(path)
    if kind is not None:
        raise ConceptFileError(f"{path}: {kind}")
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, EOFError) as error:
        raise ConceptFileError(f"{path}: a damaged torch file ({_reason(error)})") from error
    is_packed = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
    if is_packed or len(entries) > _MAX_ENTRIES or sum(e.file_size for e in entries) > most:
        raise ConceptFileError(
            f"{path}: a torch file that unpacks to more than it holds, or to more than "
            f"{most / 2**30:.0f} GB; no tool writes such files"
        )
    try:
        with readable(path) as named, lightning_checkpoints():
            tree = torch.load(named, map_location="cpu", weights_only=True, mmap=True)
    # A hostile pickle can make the unpickler raise anything.
    except Exception as error:
        raise ConceptFileError(
            f"{path}: not read, because it is damaged or holds more than tensors ({_reason(error)})"
        ) from error
    if not isinstance(tree, Mapping):
        raise ConceptFileError(f"{path}: holds a {type(tree).__name__}, expected named tensors")
    return tree


def _reason(error: BaseException) -> str:
    """Return the first sentence of an error, short: torch explains itself at length."""
    return first_line(error).split(". ")[0][:200]


def _check_tree(path: Path, tree: Mapping[str, Any]) -> None:
    """Refuse what is no tree of plain tensors, or claims more memory than a file may take.

    Raises:
        ConceptFileError: Names the entry.
    """
    claimed = 0
    for count, (place, leaf) in enumerate(_leaves(path, tree, "", 0)):
        is_plain = (
            isinstance(leaf, Tensor)
            and leaf.layout == torch.strided
            and leaf.device.type == "cpu"
            and leaf.is_floating_point()
        )
        if not is_plain or count >= _MAX_ENTRIES:
            kind = str(leaf.dtype) if isinstance(leaf, Tensor) else type(leaf).__name__
            raise ConceptFileError(
                f"{path}: {place or 'it'} is {kind}, expected at most {_MAX_ENTRIES} "
                "floating-point tensors"
            )
        claimed += leaf.numel() * leaf.element_size()
        if claimed > MAX_BYTES:
            raise ConceptFileError(
                f"{path}: its tensors claim more than {MAX_BYTES / 2**30:.0f} GB; it is damaged"
            )


def _leaves(path: Path, node: Any, place: str, depth: int) -> Iterator[tuple[str, Any]]:
    inner: Sequence[tuple[Any, Any]]
    if isinstance(node, Mapping):
        inner = list(node.items())
        nameless = next((key for key in node if not isinstance(key, str)), None)
        if nameless is not None:
            raise ConceptFileError(f"{path}: {place} has a name that is no text: {nameless!r:.80}")
    elif isinstance(node, list | tuple):
        inner = list(enumerate(node))
    else:
        yield place, node
        return
    if depth == _MAX_DEPTH or len(inner) > _MAX_ENTRIES:
        raise ConceptFileError(f"{path}: {place} holds too much in too many layers")
    for key, value in inner:
        yield from _leaves(path, value, f"{place}[{key!r:.80}]", depth + 1)
