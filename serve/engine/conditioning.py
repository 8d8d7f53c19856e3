"""A request's keys and values: projected once, at admission, and kept for whoever asks the same.

The only work of the engine that depends on concepts. A tick never sees any.
"""

from collections import Counter
from collections.abc import Hashable, Mapping
from dataclasses import dataclass

from cdcore.model.base import Base
from cdcore.model.seam import TextKV
from cdcore.model.update import Update
from cdcore.sampling.pipeline import condition
from serve.concepts.mix import ConceptMix
from serve.concepts.preparation import Merged
from serve.concepts.tensor_sizes import tensors_in
from serve.engine.request import PictureRequest
from serve.policies.byte_lru import ByteLRU

__all__ = ["Conditioner", "Conditioning"]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Conditioning:
    """What the rows of a request read.

    Attributes:
        positive: Keys and values of the prompt.
        negative: Keys and values of what guidance leads away from; None when guidance is off.
        residuals: What the merge reports of its errors.
    """

    positive: TextKV
    negative: TextKV | None
    residuals: Mapping[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class _Prompt:
    text_kv: TextKV
    residuals: Mapping[str, float]


class Conditioner:
    """Text features, updates on the device, and finished prompts, for one base."""

    def __init__(self, base: Base, *, prompt_bytes: int, device_bytes: int) -> None:
        """Make empty caches.

        Args:
            base: The base model.
            prompt_bytes: Budget for finished prompts' keys and values, on the device.
            device_bytes: Budget for updates on the device.
        """
        self.prompts: ByteLRU[_Prompt] = ByteLRU(prompt_bytes)
        self.updates: ByteLRU[Update] = ByteLRU(device_bytes)
        self.lookups: Counter[str] = Counter()
        """How many requests were a "hit", all of whose prompts were known, or a "miss"."""
        self._base = base
        rows, _ = base.seam.layout.shape
        self._prompt_size = rows * base.text_encoder.max_tokens * base.seam.dtype.itemsize

    def recall(self, request: PictureRequest) -> Conditioning | None:
        """Return what is known of a request: then it needs neither concepts nor text encoder."""
        positive = self.prompts.get(self._key(request, request.prompt))
        negative = None
        if request.guidance_scale != 1:
            negative = self.prompts.get(
                self._key(request, request.negative_prompt, is_negative=True)
            )
        if positive is None or (negative is None and request.guidance_scale != 1):
            self.lookups["miss"] += 1
            return None
        self.lookups["hit"] += 1
        return Conditioning(
            positive=positive.text_kv,
            negative=None if negative is None else negative.text_kv,
            residuals=positive.residuals,
        )

    def condition(self, request: PictureRequest, merged: Merged) -> Conditioning:
        """Project a request's texts; only for the thread that owns the device.

        Args:
            request: The request.
            merged: What the request's mix comes to.

        Raises:
            TokenError: A text names a modifier token that no concept of the request has.
            UpdateShapeError: The update is not of this base.
        """
        negative = None
        if request.guidance_scale != 1:
            negative = self._text_kv(request, request.negative_prompt, merged, is_negative=True)
        return Conditioning(
            positive=self._text_kv(request, request.prompt, merged),
            negative=negative,
            residuals=merged.residuals,
        )

    def _text_kv(
        self, request: PictureRequest, text: str, merged: Merged, *, is_negative: bool = False
    ) -> TextKV:
        def make() -> _Prompt:
            update = self._on_device(request.mix, merged.update)
            text_kv = condition(
                self._base,
                text,
                update,
                merged.tokens,
                is_negative=is_negative,
                size=request.size,
            )
            return _Prompt(text_kv, merged.residuals)

        key = self._key(request, text, is_negative=is_negative)
        return self.prompts.get_or_make(key, self._prompt_size, make).text_kv

    def _key(
        self, request: PictureRequest, text: str, *, is_negative: bool = False
    ) -> tuple[Hashable, ...]:
        """Return what a finished prompt depends on; sizes and sides only where the base does."""
        size = request.size if self._base.seam.reads_sizes else None
        is_other = is_negative and self._base.zeroes_empty_negatives
        return request.mix, text, size, is_other

    def _on_device(self, mix: ConceptMix, update: Update | None) -> Update | None:
        if update is None:
            return None
        dtype = self._base.seam.dtype
        size = sum(tensor.numel() for tensor in tensors_in(update)) * dtype.itemsize
        return self.updates.get_or_make(mix, size, lambda: update.to(self._base.device, dtype))
