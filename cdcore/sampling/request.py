"""A request for one picture: its prompt, its seed, its sampler and the concepts in it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from cdcore.concepts.masked_sum import MaskedSum
from cdcore.errors import ConfigError
from cdcore.model.base import Base
from cdcore.model.profiles import SamplerName
from cdcore.model.update import Update

__all__ = ["Request"]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Request:
    """One picture to sample.

    Attributes:
        prompt: May name the modifier tokens of ``tokens``.
        seed: In [0, 2**64).
        steps: Network evaluations.
        guidance_scale: At least 1; 1 is off.
        sampler: Which solver.
        eta: Share of fresh noise per step, "ddim" only.
        negative_prompt: What guidance leads away from.
        update: The update of the concept or of several, on the base's device; None is
            the base itself. It is used in both rows of guidance.
        tokens: The embedding row (d,) of each modifier token.

    Raises:
        ConfigError: The guidance scale is out of range.
    """

    prompt: str
    seed: int
    steps: int
    guidance_scale: float
    sampler: SamplerName = "dpm++"
    eta: float = 0.0
    negative_prompt: str = ""
    update: Update | MaskedSum | None = None
    tokens: Mapping[str, Tensor] | None = None

    def __post_init__(self) -> None:
        """Refuse what no later step would."""
        if not 1 <= self.guidance_scale < math.inf:
            raise ConfigError(
                f"guidance_scale is {self.guidance_scale}, expected a number of at least 1 (off)"
            )

    @classmethod
    def of_profile(
        cls,
        base: Base,
        prompt: str,
        seed: int,
        *,
        update: Update | MaskedSum | None = None,
        tokens: Mapping[str, Tensor] | None = None,
    ) -> "Request":
        """Ask for a picture with the base's own solver, steps and guidance."""
        profile = base.profile
        return cls(
            prompt=prompt,
            seed=seed,
            steps=profile.sampling_steps,
            guidance_scale=profile.guidance_scale,
            sampler=profile.sampler,
            update=update,
            tokens=tokens,
        )
