"""One entry of a folder or an archive that pictures are looked for in."""

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

__all__ = ["Entry", "is_litter"]

_LITTER = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx"})


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Entry:
    """What lies in a folder or an archive under one name.

    Attributes:
        path: Its path; of a file in an archive, the archive's path and the file's name.
        is_folder: Whether it is a folder.
        is_special: Whether it is a pipe, a socket or a device, which may never end.
        head: Returns its first `cdcore.pictures.file_kinds.HEAD_BYTES` bytes; of an archive it
            raises `PictureError` where they cannot be unpacked.
        open: Returns the whole file, seekable.
    """

    path: Path
    head: Callable[[], bytes] = bytes
    open: Callable[[], BinaryIO] = BytesIO
    is_folder: bool = False
    is_special: bool = False


def is_litter(name: str) -> bool:
    """Whether systems leave a file of this name in folders by themselves."""
    return name.startswith(".") or name.lower() in _LITTER
