"""Paths as users write them: with ``~`` or a variable in front, perhaps longer than a disk takes.

A shell replaces ``~`` where a word begins with it, so ``--output=~/x`` and what a YAML file says
reach a command as they were written. Every path that a user gives passes through `expanded`, once.
"""

import os
import re
from pathlib import Path

from cdcore.errors import ConfigError

__all__ = ["check_length", "expanded"]

_VARIABLE = re.compile(r"\$(?:(?P<bare>\w+)|\{(?P<braced>\w+)\})(?=/|$)")
_SHOWN = 40
"""Characters of a name that is too long, for an error."""


def expanded(text: str) -> str:
    """Return a path with the home folder or the variable that it begins with written out.

    Args:
        text: A path that may begin with ``~``, ``~USER``, ``$NAME`` or ``${NAME}``. Anything else,
            such as a URI or a hub id, stays as it is; ``./~x`` and ``./$x`` mean files of these
            names, and so does a name of no user or variable where there is such a file.

    Returns:
        A text that a second call leaves as it is.

    Raises:
        ConfigError: There is no such user or variable, and no such file.
    """
    variable = _VARIABLE.match(text)
    if variable is not None:
        value = os.environ.get(variable["bare"] or variable["braced"], "")
        made = value + text[variable.end() :] if value else text
    else:
        made = os.path.expanduser(text)
    is_known = made != text or not (variable or text.startswith("~"))
    if not is_known and not os.path.lexists(text):
        first = text.partition("/")[0]
        what = "variable" if variable else "user's home"
        # A user without a home has not written the places that are meant when nothing is said.
        other = "set HOME" if first == "~" else f"./{text} for a name that begins so"
        raise ConfigError(f"{text}: there is no {what} {first}; write the path in full, or {other}")
    # Whoever expands it again must find nothing to expand.
    return os.path.abspath(made) if os.path.normpath(made).startswith("~") else made


def check_length(path: Path) -> None:
    """Refuse a path whose names have more bytes than its disk takes; nothing need be there yet.

    Raises:
        ConfigError: Names the part that is too long.
    """
    absolute = path.absolute()
    # `Path.exists` lets the error through that is looked for here.
    there = next(one for one in (absolute, *absolute.parents) if os.path.exists(one))
    most, most_in_all = os.pathconf(there, "PC_NAME_MAX"), os.pathconf(there, "PC_PATH_MAX")
    for name in absolute.parts:
        size = len(os.fsencode(name))
        if size > most:
            raise ConfigError(
                f"the name {name[:_SHOWN]}... has {size} bytes, and a name on this disk at most "
                f"{most}; give a shorter one"
            )
    size = len(os.fsencode(absolute))
    if size >= most_in_all:
        raise ConfigError(
            f"the path {str(absolute)[:_SHOWN]}... has {size} bytes, expected less than "
            f"{most_in_all}; give a shorter one"
        )
