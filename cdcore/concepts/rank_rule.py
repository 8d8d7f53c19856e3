"""The rule that chooses ranks when an update is compressed: which there are, and their ranges.

`cdcore.concepts.low_rank` says what each rule does.
"""

import math
from dataclasses import dataclass
from typing import Literal

from cdcore.errors import ConfigError

__all__ = ["Rule", "RuleName", "Scope"]

Scope = Literal["matrix", "stack"]
"""What has factors of its own: each matrix of the stack, or the whole stack."""

RuleName = Literal["rank", "energy", "mass", "size"]
"""What the value of a rule bounds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """How far to compress.

    Attributes:
        name: What ``value`` is.
        value: A whole number of at least 1 for ``rank``; in (0, 1] for ``energy`` and ``mass``;
            bytes, above 0, for ``size``.

    Raises:
        ConfigError: The value is impossible.
    """

    name: RuleName
    value: float

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        is_share = self.name in ("energy", "mass")
        if is_share and not 0 < self.value <= 1:
            raise ConfigError(f"{self.name} is {self.value}, expected a share above 0, at most 1")
        if self.name == "rank" and not 1 <= self.value < math.inf:
            raise ConfigError(f"rank is {self.value}, expected 1 or more")
        if self.name == "size" and not 0 < self.value < math.inf:
            raise ConfigError(f"size is {self.value / 1e6:g} MB, expected more than 0")
