"""Finished rows on their way through the autoencoder: one picture between two ticks.

Decoding costs as much as a step or more, so a batch that ends all at once must not hold up the
next tick for the time of all its pictures.
"""

import logging
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from cdcore.errors import ServingError
from cdcore.model.base import Base
from serve.engine.work import Work
from serve.policies.job import RowKey

__all__ = ["Decoded", "PictureDecoder"]

_log = logging.getLogger(__name__)


class Decoded(NamedTuple):
    """What a finished row has become.

    Attributes:
        row: The row that was finished.
        work: The request that it belongs to.
        outcome: The picture's pixels, (3, H, W) float32 on the CPU, or why there is no picture.
    """

    row: RowKey
    work: Work
    outcome: Tensor | ServingError


class PictureDecoder:
    """Latents that wait to be decoded, the oldest first; for the thread that owns the device."""

    def __init__(self, base: Base, is_open: Callable[[str], bool]) -> None:
        """Begin with nothing to decode.

        Args:
            base: The base model, whose autoencoder decodes.
            is_open: Tells whether the request of a key still wants its pictures.
        """
        self._base = base
        self._is_open = is_open
        self._waiting: deque[tuple[RowKey, Work, Tensor]] = deque()

    def __len__(self) -> int:
        """How many rows wait, those of ended requests among them."""
        return len(self._waiting)

    def put(self, row: RowKey, work: Work, latents: Tensor) -> None:
        """Let the latents (C, h, w) of a finished row wait."""
        self._waiting.append((row, work, latents))

    def decode_one(self) -> Decoded | None:
        """Decode the oldest row whose request is open; None where no such row waits."""
        while self._waiting:
            row, work, latents = self._waiting.popleft()
            if self._is_open(work.key):
                return Decoded(row, work, self._decode(latents))
        return None

    def _decode(self, latents: Tensor) -> Tensor | ServingError:
        try:
            pixels = self._base.decode_latents(latents.unsqueeze(0))[0].cpu()
        except Exception as error:
            _log.exception("a picture could not be decoded")
            return ServingError(f"the picture could not be decoded: {error!r}")
        if not pixels.isfinite().all():
            return ServingError(
                "the picture has values that are no numbers; lower the guidance scale or the "
                "weights of the concepts"
            )
        return pixels
