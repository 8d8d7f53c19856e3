"""A concept file with a weight, as a user writes it: ``FILE`` or ``FILE:WEIGHT``."""

import math
from pathlib import Path

from cdcore.errors import ConfigError

__all__ = ["weighted_file"]


def weighted_file(text: str) -> tuple[Path, float]:
    """Split ``FILE`` or ``FILE:WEIGHT``; without a weight it is 1.

    Raises:
        ConfigError: The weight is not a finite number.
    """
    file, colon, weight = text.rpartition(":")
    if not colon or not file or "/" in weight or Path(text).exists():
        return Path(text), 1.0
    try:
        factor = float(weight)
    except ValueError:
        factor = math.nan
    if not math.isfinite(factor):
        raise ConfigError(
            f"concept {text!r}: the weight is {weight!r}, expected a number as in {file}:0.8"
        )
    return Path(file), factor
