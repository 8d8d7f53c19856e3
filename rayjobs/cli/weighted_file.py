"""A concept file with a weight, as a user writes it: ``FILE`` or ``FILE:WEIGHT``."""

import math
import os
from collections.abc import Sequence
from pathlib import Path

from cdcore.errors import ConfigError

__all__ = ["weighted_file", "weighted_files"]

_MOST = 4
"""As in the service."""


def weighted_file(text: str) -> tuple[Path, float]:
    """Split ``FILE`` or ``FILE:WEIGHT``; without a weight it is 1.

    Raises:
        ConfigError: The weight is no number, or so large that half precision could not hold what
            it scales.
    """
    file, colon, weight = text.rpartition(":")
    if not colon or not file or "/" in weight or os.path.exists(text):
        return Path(text), 1.0
    try:
        factor = float(weight)
    except ValueError:
        factor = math.nan
    if not abs(factor) <= _MOST:
        raise ConfigError(
            f"concept {text!r}: the weight is {weight!r}, expected a number from -{_MOST} to "
            f"{_MOST}, as in {file}:0.8"
        )
    return Path(file), factor


def weighted_files(texts: Sequence[str]) -> list[tuple[Path, float]]:
    """Split several, of which none may be the file of another.

    Raises:
        ConfigError: As for `weighted_file`; or a file is given twice.
    """
    files = [weighted_file(text) for text in texts]
    seen: set[Path] = set()
    for file, _ in files:
        if file.resolve() in seen:
            raise ConfigError(
                f"concept {file} is given twice; give it once, with the sum of its weights"
            )
        seen.add(file.resolve())
    return files
