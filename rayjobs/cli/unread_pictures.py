"""Notes of what folders of pictures hold beside their pictures: nothing is dropped in silence."""

from collections.abc import Iterable
from pathlib import Path

from rich.console import Console

from cdcore.errors import one_line
from cdcore.pictures.picture_source import find_pictures
from cdcore.training.captioned_pictures import notes_on_folder

__all__ = ["print_unread", "print_unread_regularization"]


def print_unread(folders: Iterable[Path], console: Console) -> None:
    """Print one line for each folder or archive of which something is not read.

    Raises:
        PictureError: There are no pictures in one.
    """
    for folder in folders:
        note = find_pictures(folder).note
        if note is not None:
            _print(note, console)


def print_unread_regularization(folders: Iterable[Path], count: int, console: Console) -> None:
    """Print how the captions of each folder were put together, and what of it is not read.

    Args:
        folders: Of captioned pictures.
        count: How many pictures of each are shown.
        console: Where to.

    Raises:
        PictureError: The pictures of one, or their captions, cannot be used.
    """
    for folder in folders:
        for note in notes_on_folder(folder, count):
            _print(one_line(note), console)


def _print(note: str, console: Console) -> None:
    console.print(f"note: {note}", soft_wrap=True, markup=False, emoji=False)
