"""Captions of a folder of pictures: one text for each picture, in the pictures' order.

They stand in ``caption.txt``, one on each line, in the order of the pictures' names or of a list of
their names in ``images.txt``, as data sets of the paper's authors have it; or each in a file beside
its picture: ``cat-07.txt`` or ``cat-07.jpg.txt`` beside ``cat-07.jpg``.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cdcore.errors import PictureError
from cdcore.pictures.caption_files import found_list, lines_of, own_files, text_of
from cdcore.pictures.picture_list import line_numbers

__all__ = ["Captions", "read_captions"]

_LIST, _NAMES = "caption.txt", "images.txt"
_NUMBER = re.compile(r"[0-9]+")
_TEXTS = {".txt", ".caption", ".captions", ".json", ".jsonl", ".csv", ".tsv"}
_NAMES_SHOWN = 3
_HOW = (
    f"put a caption on each line of {_LIST}, in the order of the pictures' names, or a .txt beside "
    "each picture"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Captions:
    """The captions of some pictures.

    Attributes:
        texts: As many as pictures, in their order, none of them empty.
        files: What they, and the names that they are of, were read from.
        note: What the user should know of how they were put together, or None.
    """

    texts: tuple[str, ...]
    files: tuple[Path, ...]
    note: str | None = None


def read_captions(folder: Path, pictures: Sequence[Path]) -> Captions:
    """Read the caption of each picture.

    A caption is one line: line ends inside a picture's own file count as blanks. Files that are
    beside no picture are not read. Upper case in names of text files does not matter.

    Args:
        folder: Where ``caption.txt`` is, or the pictures' own folder is.
        pictures: The pictures of one folder, this or one inside, in the order of their names.

    Raises:
        PictureError: Captions are missing, empty, unreadable or not UTF-8; there are more or fewer
            lines than pictures; or it is not clear which caption is of which picture.
    """
    own = own_files(pictures)
    list_ = found_list(_LIST, folder, pictures)
    if list_ is not None and any(own):
        raise PictureError(
            f"{folder}: has {list_.name} and also {_some(path.name for path in own if path)} "
            "beside pictures; keep one kind of captions"
        )
    if list_ is not None:
        return _listed(list_, found_list(_NAMES, folder, pictures), pictures)
    missing = [path.name for path, file in zip(pictures, own, strict=True) if file is None]
    if len(missing) == len(pictures):
        raise PictureError(
            f"{folder}: has pictures but no captions{_others(folder, pictures)}; {_HOW}"
        )
    if missing:
        raise PictureError(
            f"{folder}: {len(missing)} of {len(pictures)} pictures have no caption "
            f"({_some(missing)}); put a .txt beside each picture, or remove these"
        )
    files = tuple(file for file in own if file is not None)
    return Captions(texts=tuple(map(_own, files)), files=files)


def _listed(file: Path, names: Path | None, pictures: Sequence[Path]) -> Captions:
    """Read a list of captions, in the order of a list of names where there is one that fits."""
    lines = lines_of(file)
    if not lines:
        raise PictureError(f"{file}: empty; {_HOW}")
    if names is None:
        return Captions(texts=_in_order(file, lines, pictures), files=(file,))
    named = lines_of(names)
    try:
        if len(named) != len(lines):
            raise LookupError(f"it has {len(named)} lines for {len(lines)} captions")
        places = line_numbers(named, pictures)
    except LookupError as misfit:
        return _without_names(file, lines, pictures, f"{names.name} is not read, for {misfit}")
    texts = tuple(lines[place] for place in places)
    _check_filled(file, texts, [place + 1 for place in places], pictures)
    note = f"each line of {file.name} is of the picture on that line of {names.name}"
    return Captions(texts=texts, files=(file, names), note=note)


def _without_names(
    file: Path, lines: Sequence[str], pictures: Sequence[Path], why: str
) -> Captions:
    try:
        texts = _in_order(file, lines, pictures)
    except PictureError as error:
        raise PictureError(f"{error} ({why})") from error
    return Captions(texts=texts, files=(file,), note=f"{why}; captions are in the order of names")


def _in_order(file: Path, lines: Sequence[str], pictures: Sequence[Path]) -> tuple[str, ...]:
    _check_order(file, pictures)
    if len(lines) != len(pictures):
        raise PictureError(
            f"{file}: has {len(lines)} lines for {len(pictures)} pictures; expected one line for "
            "each picture, in the order of their names"
        )
    _check_filled(file, lines, range(1, len(lines) + 1), pictures)
    return tuple(lines)


def _check_filled(
    file: Path, texts: Sequence[str], numbers: Sequence[int], pictures: Sequence[Path]
) -> None:
    for number, text, picture in zip(numbers, texts, pictures, strict=True):
        if not text:
            raise PictureError(
                f"{file}: line {number} is empty; write the caption of {picture.name} there"
            )


def _check_order(file: Path, pictures: Sequence[Path]) -> None:
    """Refuse numbered names that people and programs put in different orders.

    Raises:
        PictureError: Such as ``10.jpg`` and ``2.jpg``.
    """
    if len({_NUMBER.sub("0", path.stem) for path in pictures}) > 1:
        return
    counted = sorted(pictures, key=lambda path: [int(part) for part in _NUMBER.findall(path.stem)])
    for named, other in zip(pictures, counted, strict=True):
        if named != other:
            raise PictureError(
                f"{file}: it is not clear whether a line is meant for {named.name} or "
                f"{other.name}; write the numbers in names with as many digits each (007), put a "
                f".txt beside each picture, or list the names in the captions' order in {_NAMES}"
            )


def _own(file: Path) -> str:
    caption = " ".join(text_of(file).split())
    if not caption:
        raise PictureError(f"{file}: empty; write what its picture shows")
    return caption


def _others(folder: Path, pictures: Sequence[Path]) -> str:
    """Name what may have been meant as captions."""
    names = [
        str(path.relative_to(folder))
        for place in dict.fromkeys((folder, pictures[0].parent))
        for path in sorted(place.iterdir())
        if path.suffix.lower() in _TEXTS and not path.name.startswith(".")
    ]
    return f" that are read (not {_some(names)})" if names else ""


def _some(names: Iterable[str]) -> str:
    shown = list(names)
    more = len(shown) - _NAMES_SHOWN
    return ", ".join(shown[:_NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")
