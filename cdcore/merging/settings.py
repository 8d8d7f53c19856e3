"""How concepts are merged, by default and as a user asks.

It imports nothing heavy: command lines that only print help read it too.

docs/merging.md has the measurements behind the defaults.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from cdcore.merging.caption_bank import CaptionBank, read_captions, written_captions

__all__ = [
    "DEFAULT_METHOD",
    "DEFAULT_PENALTY",
    "MERGE_METHODS",
    "MIX_METHODS",
    "MergeMethod",
    "MergeSettings",
    "MixMethod",
]

MergeMethod = Literal["constrained", "ridge", "sum"]
"""How concepts become one update, which a concept file can hold."""

MixMethod = Literal[MergeMethod, "masked"]
"""How concepts are shown together: merged, or each on its own words, which no file can hold."""

MERGE_METHODS: tuple[MergeMethod, ...] = get_args(MergeMethod)
MIX_METHODS: tuple[MixMethod, ...] = get_args(MixMethod)

DEFAULT_METHOD: MergeMethod = "ridge"
DEFAULT_PENALTY = 3.0
"""What a ridge merge makes of a mean square change on captions, against one on a concept."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MergeSettings:
    """How concepts are put together.

    Attributes:
        method: How they are put together.
        penalty: The penalty of "ridge".
        captions: A file of captions; None takes the project's own.
        cache: The root of the caches.
        allow_ill_posed: Go on where a merge would be refused.
        allow_other_base: Use the concepts on another base of the same shape.
    """

    method: MixMethod = DEFAULT_METHOD
    penalty: float = DEFAULT_PENALTY
    captions: Path | None = None
    cache: Path
    allow_ill_posed: bool = False
    allow_other_base: bool = False

    def bank(self, *, pocket: bool) -> CaptionBank:
        """Return the captions.

        Args:
            pocket: Whether the base is a pocket base.

        Raises:
            ConfigError: The file of captions cannot be used.
        """
        if self.captions is not None:
            return read_captions(self.captions)
        return written_captions(pocket=pocket)
