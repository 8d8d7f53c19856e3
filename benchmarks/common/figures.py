"""The figures of a benchmark, as a file."""

import json
from pathlib import Path

from rich.console import Console

from cdcore.files import write_text

__all__ = ["save_figures"]


def save_figures(path: Path | None, figures: object, console: Console) -> None:
    """Write figures as JSON where a path is given, and say where they are.

    Args:
        path: The file, or None.
        figures: What JSON can hold.
        console: Shows the path.

    Raises:
        OSError: The file cannot be written.
    """
    if path is not None:
        write_text(path, json.dumps(figures, indent=2) + "\n")
        console.print(str(path), soft_wrap=True)
