"""Notes on captions that a user brings: what of them is not read as they may be meant."""

from collections.abc import Callable, Sequence

from rich.console import Console

from cdcore.errors import one_line
from cdcore.model.foreign_syntax import foreign_syntax
from cdcore.model.unread_text import UnreadText

__all__ = ["caption_notes", "print_caption_notes"]

_REMEDY = "leave it out of the captions"
_MOST_HINTS = 3


def caption_notes(captions: Sequence[str], unread: Callable[[str], UnreadText | None]) -> list[str]:
    """Say how many captions are cut, and what in them is the syntax of other programs.

    Args:
        captions: Of one file or folder.
        unread: Returns what the base does not read of a text.

    Returns:
        At most five lines.
    """
    notes = []
    cut = [found for found in map(unread, captions) if found is not None]
    if cut:
        notes.append(
            f"{len(cut)} of {len(captions)} captions are longer than this base reads "
            f"({cut[0].room} tokens); their ends do not count"
        )
    hints = dict.fromkeys(line for text in captions for line in foreign_syntax(text, _REMEDY))
    notes += list(hints)[:_MOST_HINTS]
    if len(hints) > _MOST_HINTS:
        notes.append(f"{len(hints) - _MOST_HINTS} more such places in captions")
    return notes


def print_caption_notes(
    captions: Sequence[str],
    unread: Callable[[str], UnreadText | None],
    console: Console,
) -> None:
    """Print `caption_notes`."""
    for note in caption_notes(captions, unread):
        console.print(f"note: {one_line(note)}", soft_wrap=True, markup=False, emoji=False)
