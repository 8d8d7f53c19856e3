"""Where pictures come from: a folder or a zip archive, and what of it is a picture.

Content decides, not names: a file that begins like a picture is one. What is not read is listed by
name, but for what systems leave in folders by themselves.
"""

import itertools
import os
import stat
import zipfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

from cdcore.errors import PictureError
from cdcore.pictures.file_kinds import (
    HEAD_BYTES,
    PICTURE_SUFFIXES,
    RAW_SUFFIXES,
    Kind,
    kind_of,
)
from cdcore.pictures.picture_archive import archive_entries
from cdcore.pictures.picture_entry import Entry, is_litter

__all__ = ["FoundPictures", "PictureFile", "find_pictures", "names_beside", "note_on_unread"]

_MAX_ENTRIES = 10_000
_NAMES_SHOWN = 10


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PictureFile:
    """A file that begins like a picture."""

    entry: Entry
    kind: Kind

    @property
    def path(self) -> Path:
        """Its path, for messages."""
        return self.entry.path


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FoundPictures:
    """What was found in a folder or an archive.

    Attributes:
        path: The folder or archive.
        files: At least one, sorted by name.
        unread: What else there is and is not read, by name, with the reason where it is not plain.
    """

    path: Path
    files: tuple[PictureFile, ...]
    unread: tuple[str, ...]

    @property
    def note(self) -> str | None:
        """One line that names what is not read; None where that is nothing."""
        return note_on_unread(self.path, self.unread) if self.unread else None


def note_on_unread(path: Path, names: Sequence[str]) -> str:
    """Return one line that names what of a folder or an archive is not read.

    Args:
        path: The folder or archive.
        names: At least one, as in `FoundPictures.unread`.
    """
    return f"{_shown(path.name)}: not read as pictures: {_listed(names)}"


def names_beside(folder: Path, read: Collection[Path]) -> list[str]:
    """Return the names of what a folder holds beside what is read, as in `FoundPictures.unread`.

    Args:
        folder: A folder; at most 10,000 of its entries are named.
        read: Paths of its entries.

    Raises:
        PictureError: There is no such folder, or it cannot be listed.
    """
    names = []
    for entry in sorted(_entries(folder), key=lambda entry: entry.path.name):
        if entry.path in read:
            continue
        try:
            kind, why = _looked_at(entry)
        except PictureError:
            kind, why = None, " (damaged)"
        if kind is not None or why or not is_litter(entry.path.name):
            names.append(_shown(entry.path.name) + why)
    return names


def find_pictures(path: Path) -> FoundPictures:
    """Find the pictures of a folder or a zip archive by their first bytes.

    Raises:
        PictureError: There is nothing of that name, it is neither, cannot be listed, has more than
            10,000 entries or no picture; or a file that is named like a picture is none, or cannot
            be opened.
    """
    entries = _entries(path)
    if len(entries) > _MAX_ENTRIES:
        raise PictureError(
            f"{path}: more than {_MAX_ENTRIES} entries; give a folder with the pictures of one "
            "concept alone"
        )
    files: list[PictureFile] = []
    unread: list[str] = []
    for entry in sorted(entries, key=lambda entry: entry.path.name):
        kind, why = _looked_at(entry)
        if kind is not None and not why:
            files.append(PictureFile(entry=entry, kind=kind))
        elif kind is not None or why or not is_litter(entry.path.name):
            unread.append(_shown(entry.path.name) + why)
    if not files:
        beside = f", but {_listed(unread)}" if unread else ""
        raise PictureError(
            f"{path}: no pictures in it{beside}; put JPEG, PNG, WebP or HEIC files directly into "
            "the folder (subfolders are not searched)"
        )
    return FoundPictures(path=path, files=tuple(files), unread=tuple(unread))


def _entries(path: Path) -> list[Entry]:
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            with os.scandir(path) as found:
                # A folder of millions would take minutes to be refused.
                some = itertools.islice(found, _MAX_ENTRIES + 1)
                return [_entry(Path(entry.path)) for entry in some]
        is_zip = stat.S_ISREG(mode) and zipfile.is_zipfile(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise PictureError(
            f"{path}: no such folder; give the folder that holds the pictures"
        ) from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise PictureError(f"{path}: cannot be listed ({reason}); check its rights") from error
    if not is_zip:
        raise PictureError(
            f"{path}: not a folder, and no zip archive; give the folder that holds the pictures"
        )
    return archive_entries(path)


def _entry(path: Path) -> Entry:
    """Describe an entry of a folder; a link that leads nowhere is a file that cannot be opened."""
    try:
        mode = path.stat().st_mode
    except OSError:
        mode = stat.S_IFREG
    return Entry(
        path=path,
        head=partial(_head, path),
        open=partial(_opened, path),
        is_folder=stat.S_ISDIR(mode),
        is_special=not stat.S_ISDIR(mode) and not stat.S_ISREG(mode),
    )


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(HEAD_BYTES)


def _opened(path: Path) -> BinaryIO:
    return path.open("rb")


def _looked_at(entry: Entry) -> tuple[Kind | None, str]:
    """Return what an entry begins as, and why it is not read.

    Raises:
        PictureError: It is named like a picture, and is none.
    """
    name = entry.path.name
    suffix = entry.path.suffix.lower()
    is_promised = suffix in PICTURE_SUFFIXES and not name.startswith(".")
    if entry.is_folder:
        return None, "" if is_litter(name) else "/ (a folder)"
    if entry.is_special:
        return None, " (a pipe, socket or device)"
    try:
        head = entry.head()
    except OSError as error:
        if is_promised:
            raise PictureError(
                f"{entry.path}: cannot be opened ({error.strerror}); mend or remove it"
            ) from error
        return None, "" if is_litter(name) else f" ({error.strerror})"
    except PictureError:
        # Of an archive; whether there are pictures enough is found out when all are looked at.
        if is_promised:
            raise
        return None, "" if is_litter(name) else " (cannot be unpacked)"
    kind = kind_of(head)
    if kind is None and is_promised:
        what = "not a picture that can be read, whatever its name says" if head else "empty file"
        raise PictureError(f"{entry.path}: {what}; replace or remove it")
    if kind is not None and name.startswith("."):
        return kind, " (hidden)"
    if kind == "TIFF" and suffix in RAW_SUFFIXES:
        return kind, " (a camera's raw file)"
    return kind, ""


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _NAMES_SHOWN
    return ", ".join(names[:_NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _shown(name: str) -> str:
    return name if name.isprintable() else ascii(name)[1:-1]
