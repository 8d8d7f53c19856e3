"""The folder of one export: it holds one concept, and its USE.md lists what is of it."""

import re
from contextlib import suppress
from pathlib import Path

__all__ = ["USE_FILE", "clear_export", "listed"]

USE_FILE = "USE.md"

_LISTED = re.compile(r"^- `([\w./-]+\.(?:safetensors|json))`$", re.MULTILINE | re.ASCII)
"""A file as USE.md lists it, in the only names and suffixes that exports have."""


def listed(file: str) -> str:
    """Return the line of USE.md that lists a file by its path in the folder."""
    return f"- `{file}`"


def clear_export(folder: Path) -> None:
    """Delete an export: what its USE.md lists, USE.md itself and the folders that are empty then.

    What else lies there stays, and so does a folder without USE.md.

    Raises:
        OSError: A file cannot be deleted.
    """
    use = folder / USE_FILE
    if not use.is_file():
        return
    names = _LISTED.findall(use.read_text(encoding="utf-8", errors="replace"))
    for path in (*(folder / name for name in names), use):
        # The list is a text, which anybody can change.
        if path.is_file() and path.resolve().is_relative_to(folder.resolve()):
            path.unlink()
            for parent in path.relative_to(folder).parents:
                with suppress(OSError):
                    (folder / parent).rmdir()
