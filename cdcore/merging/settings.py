"""How concepts are merged, by default and as a user asks; light, for command lines that only print
help.

docs/merging.md has the measurements behind the defaults.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cdcore.merging.caption_bank import CaptionBank, read_captions, written_captions

__all__ = ["DEFAULT_METHOD", "DEFAULT_PENALTY", "MixMethod", "MergeSettings", "MergeMethod"]

MergeMethod = Literal["constrained", "ridge", "sum"]

DEFAULT_METHOD: MergeMethod = "ridge"
DEFAULT_PENALTY = 3.0
"""Of a ridge merge: how much a mean square change on captions weighs against one on a concept."""

MixMethod = Literal["constrained", "ridge", "sum", "masked"]


@dataclass(frozen=True, kw_only=True, slots=True)
class MergeSettings:
    """How concepts are put together.

    Attributes:
        method: As for `cdcore.merging.merge.merge`, or "masked".
        penalty: Of "ridge".
        captions: File of captions; None takes the project's own.
        cache: Root of the caches.
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
