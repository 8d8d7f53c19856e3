"""A zip archive of pictures, read in place: nothing is unpacked to a disk."""

import itertools
import zipfile
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from io import BytesIO
from pathlib import Path, PurePath, PurePosixPath
from typing import BinaryIO

from cdcore.errors import PictureError, first_line
from cdcore.pictures.file_kinds import HEAD_BYTES, PICTURE_SUFFIXES
from cdcore.pictures.picture_entry import Entry, is_litter

__all__ = ["archive_entries"]

_MAX_BYTES = 4 * 2**30
"""What all files of an archive may say that they unpack to."""
_MAX_FILE_BYTES = 2**30
_ENCRYPTED = 0x1


def archive_entries(path: Path) -> list[Entry]:
    """Return what lies in the folder that an archive is of.

    An archive of a folder holds that folder: it is entered, as long as all there is lies in one,
    but for what systems leave in folders by themselves.

    Raises:
        PictureError: The archive is damaged, its pictures are encrypted, it unpacks to more than
            4 GB, or names files outside of itself.
    """
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise _damaged(path, "", error) from error
    members = {
        info: _parts(path, info.filename) for info in archive.infolist() if not info.is_dir()
    }
    _check(path, members)
    return _entries(path, archive, members)


def _parts(path: Path, name: str) -> tuple[str, ...]:
    """Split a member's name, which old Windows programs write with backslashes."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if not parts or {"/", ".."} & set(parts) or parts[0].endswith(":"):
        raise PictureError(
            f"{path}: a zip archive with {name!r:.80}, which would lie outside of it; give the "
            "folder itself"
        )
    return parts


def _check(path: Path, members: Collection[zipfile.ZipInfo]) -> None:
    locked = [info for info in members if info.flag_bits & _ENCRYPTED]
    is_wanted = any(PurePath(one.filename).suffix.lower() in PICTURE_SUFFIXES for one in locked)
    if is_wanted or (locked and len(locked) == len(members)):
        raise PictureError(f"{path}: an encrypted zip archive; unpack it, and give the folder")
    size = sum(info.file_size for info in members)
    if size > _MAX_BYTES:
        raise PictureError(
            f"{path}: a zip archive that unpacks to {size / 2**30:.1f} GB, at most "
            f"{_MAX_BYTES / 2**30:.0f} are read; give a folder with the pictures alone"
        )


def _entries(
    path: Path, archive: zipfile.ZipFile, members: Mapping[zipfile.ZipInfo, tuple[str, ...]]
) -> list[Entry]:
    folder = _common_folder([p for p in members.values() if not any(map(is_litter, p))])
    depth = len(folder)
    inside = {info: parts for info, parts in members.items() if parts[:depth] == folder}
    files = [
        Entry(
            path=path / parts[-1],
            head=partial(_head, path, archive, info),
            open=partial(_unpacked, path, archive, info),
        )
        for info, parts in inside.items()
        if len(parts) == depth + 1
    ]
    _check_names(path, [file.path.name for file in files])
    folders = {parts[depth] for parts in inside.values() if len(parts) > depth + 1}
    return files + [Entry(path=path / name, is_folder=True) for name in folders]


def _common_folder(members: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """Return the innermost folder that holds all members, as its parts."""
    levels = zip(*(parts[:-1] for parts in members), strict=False)
    shared = itertools.takewhile(lambda level: len(set(level)) == 1, levels)
    return tuple(level[0] for level in shared)


def _check_names(path: Path, names: Sequence[str]) -> None:
    doubles = [name for name, count in Counter(names).items() if count > 1]
    if doubles:
        raise PictureError(
            f"{path}: a zip archive with several files {doubles[0]!r:.80}; pack it again"
        )


def _head(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    try:
        with archive.open(info) as member:
            return member.read(HEAD_BYTES)
    # Each way of packing has errors of its own.
    except Exception as error:
        raise _damaged(path, info.filename, error) from error


def _unpacked(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> BinaryIO:
    if info.file_size > _MAX_FILE_BYTES:
        raise PictureError(
            f"{path}: {info.filename!r:.80} unpacks to {info.file_size / 2**30:.1f} GB, at most "
            f"{_MAX_FILE_BYTES / 2**30:.0f} are read"
        )
    try:
        return BytesIO(archive.read(info))
    except Exception as error:
        raise _damaged(path, info.filename, error) from error


def _damaged(path: Path, name: str, error: Exception) -> PictureError:
    what = f"{name!r:.80}: " if name else ""
    return PictureError(
        f"{path}: a zip archive that cannot be unpacked ({what}{first_line(error)}); pack it "
        "again, or give the folder itself"
    )
