"""Paths as users write them: with ``~`` or variables, perhaps longer than a disk takes.

A shell replaces ``~`` where a word begins with it, and no variable in single quotes, so
``--output=~/x`` and what a YAML file says reach a command as they were written. Every
path that a user gives passes through `expanded`, once.
"""

import os
import re
from pathlib import Path

from cdcore.errors import ConfigError

__all__ = ["check_length", "expanded"]

_VARIABLE = re.compile(r"\$(?:(?P<bare>[A-Za-z_]\w*)|\{(?P<braced>[A-Za-z_]\w*)\}|(?P<other>[{(]))")
_HALF_URI = re.compile(
    r"(?:[a-z][a-z0-9+.-]+:(?:/(?!/)|(?://)?~)"
    r"|(?:file|s3|gs|gcs|az|abfss?|hdfs|https?|hf):(?!//|[-+.\d]|$))",
    re.IGNORECASE,
)
"""A scheme with less after it than two slashes and a place; a number may be a concept's weight."""
_SHOWN = 40
"""Characters of a name that is too long, for an error."""


def expanded(text: str) -> str:
    """Return a path with the home folder that it begins with, and all variables, written out.

    Args:
        text: A path that may begin with ``~`` or ``~USER``, and may have ``$NAME`` or ``${NAME}``
            anywhere, as in a shell. Anything else, such as a URI or a hub id, stays as it is;
            ``./~x`` and ``./$x`` mean files of these names, and so does a name of no user or
            variable where there is such a file.

    Returns:
        A text that a second call leaves as it is, unless a variable's value has a variable.

    Raises:
        ConfigError: There is no such user or variable, and no such file; or a URI lacks a slash.
    """
    if _HALF_URI.match(text) and not os.path.lexists(text.partition("/")[0]):
        raise ConfigError(
            f"{text}: expected a path of this machine such as /data/x or ~/x, or a URI, which has "
            "two slashes after its scheme and a place without ~, such as s3://bucket/x"
        )
    head, slash, rest = text.partition("/")
    if text.startswith("~"):
        home = os.path.expanduser(head)
        if home == head and not os.path.lexists(text):
            raise _unknown(text, head, "user's home")
        # A home folder's own name is not looked through.
        made = home + _with_values(slash + rest, home, text)
    else:
        made = _with_values(text, "", text)
    # Whoever expands it again must find nothing to expand.
    return os.path.abspath(made) if os.path.normpath(made).startswith("~") else made


def _with_values(part: str, before: str, text: str) -> str:
    """Return a part of a path with the values of the variables in it.

    Args:
        part: What is looked through.
        before: What of the path stands before it.
        text: The path as the user wrote it.

    Raises:
        ConfigError: There is no such variable, and no such file.
    """

    def value(found: re.Match[str]) -> str:
        end = part.find("/", found.end())
        place = before + (part if end < 0 else part[:end])
        known = os.environ.get(found["bare"] or found["braced"] or "", "")
        if found.start() == 0 and known:
            return known
        if part[: found.start()] == "./" or os.path.lexists(place):
            return found[0]
        if known:
            return known
        name = part[found.start() :].partition("/")[0] if found["other"] else found[0]
        raise _unknown(text, name, "variable")

    return _VARIABLE.sub(value, part)


def _unknown(text: str, name: str, what: str) -> ConfigError:
    # A user without a home has not written the places that are meant when nothing is said.
    begins = text.startswith(name)
    other = f"./{text} for a name that begins so" if begins else "make a folder of that name first"
    return ConfigError(
        f"{text}: there is no {what} {name}; write the path in full, or "
        f"{'set HOME' if name == '~' else other}"
    )


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
