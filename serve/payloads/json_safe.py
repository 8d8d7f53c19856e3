"""Values from files of others, made fit for JSON in UTF-8."""

import math
from collections.abc import Mapping
from typing import Any

__all__ = ["json_safe", "text_safe"]

_MAX_DEPTH = 12


def text_safe(text: str) -> str:
    """Return a text with what UTF-8 cannot hold replaced."""
    return text.encode("utf-8", "replace").decode("utf-8")


def json_safe(value: Any, depth: int = _MAX_DEPTH) -> Any:
    """Return a JSON value without numbers that are none, lone surrogates, or endless depth.

    Args:
        value: A value of mappings, lists, texts, numbers, booleans and None; all else becomes a
            text.
        depth: How many levels are kept; what lies deeper becomes None.
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        # Larger ones are no numbers to most readers, and too long to be written to some.
        return value if abs(value) < 2**64 else None
    if isinstance(value, str):
        return text_safe(value)
    if depth == 0:
        return None
    if isinstance(value, Mapping):
        return {text_safe(str(key)): json_safe(held, depth - 1) for key, held in value.items()}
    if isinstance(value, list | tuple):
        return [json_safe(held, depth - 1) for held in value]
    return text_safe(str(value))
