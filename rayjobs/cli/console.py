"""The console of a job: what it prints is plain text, read by people and by other programs."""

import sys

from rich.console import Console

__all__ = ["plain_console"]


def plain_console(*, soft_wrap: bool | None = None, file_width: int | None = None) -> Console:
    """Return a console on standard output that adds no colour and no sign of its own.

    Args:
        soft_wrap: Whether lines stay whole, however long; None keeps them whole where the output
            is no terminal.
        file_width: Characters of a table's row where the output is no terminal; None takes rich's.
    """
    # The file is given because some libraries put their own in its place while a job runs.
    console = Console(file=sys.stdout, highlight=False, markup=False, emoji=False)
    console.soft_wrap = not console.is_terminal if soft_wrap is None else soft_wrap
    if file_width is not None and not console.is_terminal:
        console.width = file_width
    return console
