"""The commands that docs/cluster.md tells its reader to run."""

import re
from pathlib import Path

__all__ = ["commands"]

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "cluster.md"


def commands(section: str, *, leaving_out: tuple[str, ...] = ()) -> list[str]:
    """Return the commands of a section in order.

    Args:
        section: Its heading.
        leaving_out: Words of commands that need what is not there.

    Returns:
        Each with its continued lines; a loop is one command.
    """
    text = DOCUMENT.read_text(encoding="utf-8")
    (body,) = re.findall(rf"^## {section}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    lines = [line[4:] for line in body.splitlines() if line.startswith("    ")]
    joined = "\n".join(lines).replace("\\\n", " ")
    found = re.findall(r"^for (?:.|\n)*?^done$|^.+$", joined, re.MULTILINE)
    return [one for one in found if not any(word in one for word in leaving_out)]
