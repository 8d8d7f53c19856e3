"""Values: what a user may write for each plain type.

A text from the command line and what YAML makes of the same text mean the same. What Python would
take but no user means is refused: true as the number 1, the empty path, numbers that are none, text
in which the command line could not read a byte. A path, and a text that may be one, is expanded.
"""

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from cdcore.user_paths import check_length, expanded

__all__ = ["Location", "converted_value"]

Location = Annotated[str, "location"]
"""The type of a text that may be a path: a folder or a hub id, a folder or a URI, FILE:WEIGHT."""

_YES = (1, "1", "true", "t", "yes", "y", "on")
_NO = (0, "0", "false", "f", "no", "n", "off")
"""What a user may write for true, and for false."""


def converted_value(kind: Any, value: Any) -> Any:
    """Return one value in a plain type, never None.

    Args:
        kind: ``bool``, ``int``, ``float``, ``str``, `Location`, ``Path`` or a ``Literal``.
        value: A text, or what YAML makes of one.

    Raises:
        ValueError: It is of another type.
        OverflowError: It is an infinite whole number.
        ConfigError: It is a path that begins with no user's home or with no variable, or that no
            disk can hold.
    """
    # No path can hold it, and the system's calls end in a traceback.
    if isinstance(value, str) and "\0" in value:
        raise ValueError
    if kind is bool:
        return _truth(value)
    # Python counts True as 1, which users do not mean.
    if isinstance(value, bool):
        raise ValueError
    if get_origin(kind) is Literal:
        # On the command line choices that are numbers are texts as well.
        return _chosen(get_args(kind), value)
    if kind in (Path, Location):
        return _path(kind, value)
    if kind is str:
        return _text(value)
    return _number(kind, value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError
    # The command line reads bytes that are no text too, because names of files may hold them.
    value.encode()
    return value


def _number(kind: Any, value: Any) -> Any:
    is_right = isinstance(value, str | int) or (kind is float and isinstance(value, float))
    is_whole = isinstance(value, float) and value.is_integer()
    if not is_right and not is_whole:
        raise ValueError
    made = kind(value)
    if kind is float and not math.isfinite(made):
        raise ValueError
    return made


def _path(kind: Any, value: Any) -> Any:
    if kind is Path and isinstance(value, Path):
        value = str(value)
    # The empty path would be the working directory, which users do not mean, and a URI a folder
    # named like its scheme.
    if not isinstance(value, str) or (kind is Path and (value == "" or "://" in value)):
        raise ValueError
    # YAML can write characters that no name on a disk has.
    os.fsencode(value)
    text = expanded(value)
    if kind is not Path:
        return text
    check_length(Path(text))
    return Path(text)


def _truth(value: Any) -> bool:
    word = value.lower() if isinstance(value, str) else value
    for truth, words in ((True, _YES), (False, _NO)):
        if isinstance(word, str | int) and word in words:
            return truth
    raise ValueError


def _chosen(choices: Sequence[Any], value: Any) -> Any:
    for choice in choices:
        if value == choice or value == str(choice):
            return choice
    raise ValueError
