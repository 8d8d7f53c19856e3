"""Values: what a user may write for each plain type.

A text from the command line and what YAML makes of the same text mean the same. What Python would
take but no user means is refused: true as the number 1, the empty path, numbers that are none.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

__all__ = ["converted_value"]

_YES = (1, "1", "true", "t", "yes", "y", "on")
_NO = (0, "0", "false", "f", "no", "n", "off")
"""What a user may write for true, and for false."""


def converted_value(kind: Any, value: Any) -> Any:
    """Return one value in a plain type, never None.

    Args:
        kind: ``bool``, ``int``, ``float``, ``str``, ``Path`` or a ``Literal``.
        value: A text, or what YAML makes of one.

    Raises:
        ValueError: It is of another type.
        OverflowError: It is an infinite whole number.
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
    is_right: bool = isinstance(value, str)
    if kind is int:
        is_right |= isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if kind is float:
        is_right |= isinstance(value, int | float)
    if kind is Path:
        # The empty path would be the working directory, which users do not mean either.
        is_right = isinstance(value, Path) or (is_right and value != "")
    if not is_right:
        raise ValueError
    made = kind(value)
    if kind is float and not math.isfinite(made):
        raise ValueError
    return made


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
