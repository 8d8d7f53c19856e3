"""Captions of a folder of pictures: one text for each picture, in the pictures' order.

They stand in ``caption.txt``, one on each line in the order of the pictures' names, or each in a
file beside its picture: ``cat-07.txt`` beside ``cat-07.jpg``.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from cdcore.errors import PictureError

__all__ = ["read_captions"]

_LIST = "caption.txt"
_NUMBER = re.compile(r"[0-9]+")
_NAMES_SHOWN = 3
_HOW = (
    f"put a caption on each line of {_LIST}, in the order of the pictures' names, or a .txt beside "
    "each picture"
)


def read_captions(folder: Path, pictures: Sequence[Path]) -> list[str]:
    """Read the caption of each picture.

    A caption is one line: line ends inside a picture's own file count as blanks. Files that are
    beside no picture are not read.

    Args:
        folder: Where ``caption.txt`` is.
        pictures: The pictures of one folder, this or another, in the order of their names.

    Returns:
        As many captions as pictures, none of them empty.

    Raises:
        PictureError: Captions are missing, empty, unreadable or not UTF-8; there are more or fewer
            lines than pictures; or it is not clear which caption is of which picture.
    """
    beside = _beside(pictures[0].parent)
    own = [beside.get(path.stem) for path in pictures]
    # Beside a picture of that name it is the picture's own.
    name = Path(_LIST).stem
    is_own = name in {path.stem for path in pictures}
    list_ = None if is_own else _beside(folder).get(name)
    if list_ is not None and any(own):
        raise PictureError(
            f"{folder}: has {list_.name} and also {_some(path.name for path in own if path)} "
            "beside pictures; keep one kind of captions"
        )
    if list_ is not None:
        return _listed(list_, pictures)
    twice = sorted(
        stem for stem, count in Counter(path.stem for path in pictures).items() if count > 1
    )
    if any(own) and twice:
        raise PictureError(
            f"{folder}: it is not clear which picture {twice[0]}.txt is of, for several are called "
            f"{twice[0]}; rename all but one"
        )
    missing = [path.name for path, file in zip(pictures, own, strict=True) if file is None]
    if len(missing) == len(pictures):
        raise PictureError(f"{folder}: has pictures but no captions; {_HOW}")
    if missing:
        raise PictureError(
            f"{folder}: {len(missing)} of {len(pictures)} pictures have no caption "
            f"({_some(missing)}); put a .txt beside each picture, or remove these"
        )
    return [_own(file) for file in own if file is not None]


def _beside(folder: Path) -> dict[str, Path]:
    """Return the text files of a folder by their names without suffix."""
    if not folder.is_dir():
        return {}
    return {
        path.stem: path
        for path in sorted(folder.iterdir())
        if path.suffix.lower() == ".txt" and not path.name.startswith(".")
    }


def _listed(file: Path, pictures: Sequence[Path]) -> list[str]:
    _check_order(file, pictures)
    lines = [line.strip() for line in _text(file).rstrip().split("\n")]
    if lines == [""]:
        raise PictureError(f"{file}: empty; {_HOW}")
    if len(lines) != len(pictures):
        raise PictureError(
            f"{file}: has {len(lines)} lines for {len(pictures)} pictures; expected one line for "
            "each picture, in the order of their names"
        )
    for number, (line, picture) in enumerate(zip(lines, pictures, strict=True), start=1):
        if not line:
            raise PictureError(
                f"{file}: line {number} is empty; write the caption of {picture.name} there"
            )
    return lines


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
                f"{other.name}; write the numbers in names with as many digits each (007), or put "
                "a .txt beside each picture"
            )


def _own(file: Path) -> str:
    caption = " ".join(_text(file).split())
    if not caption:
        raise PictureError(f"{file}: empty; write what its picture shows")
    return caption


def _text(file: Path) -> str:
    if file.exists() and not file.is_file():
        raise PictureError(f"{file}: cannot be read (it is no file); remove it")
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise PictureError(f"{file}: not a text in UTF-8; save it as one") from error
    except OSError as error:
        raise PictureError(f"{file}: cannot be read ({error.strerror})") from error


def _some(names: Iterable[str]) -> str:
    shown = list(names)
    more = len(shown) - _NAMES_SHOWN
    return ", ".join(shown[:_NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")
