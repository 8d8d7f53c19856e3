"""Notes of what folders of pictures hold beside their pictures: nothing is dropped in silence."""

from collections.abc import Iterable
from pathlib import Path

from rich.console import Console

from cdcore.pictures.picture_source import find_pictures

__all__ = ["print_unread"]


def print_unread(folders: Iterable[Path], console: Console) -> None:
    """Print one line for each folder or archive of which something is not read.

    Raises:
        PictureError: There are no pictures in one.
    """
    for folder in folders:
        note = find_pictures(folder).note
        if note is not None:
            console.print(f"note: {note}", soft_wrap=True, markup=False, emoji=False)
