"""How several concept files are put together; light, for command lines that only print help."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cdcore.caption_bank import CaptionBank, read_captions, written_captions
from cdcore.merge_settings import DEFAULT_METHOD, DEFAULT_PENALTY

__all__ = ["BlendMethod", "BlendSettings"]

BlendMethod = Literal["constrained", "ridge", "sum", "masked"]


@dataclass(frozen=True, kw_only=True, slots=True)
class BlendSettings:
    """How concepts are put together.

    Attributes:
        method: As for `cdcore.merging.merge`, or "masked".
        penalty: Of "ridge".
        captions: File of captions; None takes the project's own.
        cache: Root of the caches.
        allow_ill_posed: Go on where a merge would be refused.
        allow_other_base: Use the concepts on another base of the same shape.
    """

    method: BlendMethod = DEFAULT_METHOD
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
