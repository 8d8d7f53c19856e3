"""A profile: the settings that suit a base model when the user sets nothing."""

from dataclasses import dataclass, replace
from typing import Literal

from cdcore.errors import ConfigError

__all__ = ["PROFILES", "Profile", "SamplerName", "check_resolution"]

_GRAIN = 64
"""Pixels; the coarsest level of every U-Net here stands for as many or fewer."""
_MOST = 4096

SamplerName = Literal["ddim", "dpm++"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """Defaults for one family of bases.

    Attributes:
        resolution: Side of a training picture and of a sample, pixels.
        steps: Optimiser steps for one subject.
        joint_steps: Optimiser steps for several subjects at once.
        rows_per_step: Target and regularization rows of one step, over all workers.
        learning_rate: The rate of the update and the modifier token; never scaled by anything.
        regularization_ratio: Regularization rows for each target row.
        regularization_images: Pictures of the class that are generated.
        prior_weight: Factor on the loss of regularization rows.
        variants: Augmented variants of each target picture whose latents are cached.
        flip: Whether pictures are also shown mirrored.
        initializer_tokens: What modifier tokens start from, one for each subject of a training, as
            `cdcore.model.text_encoder.TextEncoder.initial_embedding` reads it; none for the class
            noun.
        update_rank: The rank of each matrix of an update as it is trained; 0 trains it whole.
        guidance_scale: For samples; 1 is off.
        sampler: For samples.
        sampling_steps: Steps of a sample.
    """

    resolution: int
    steps: int
    joint_steps: int
    rows_per_step: int
    learning_rate: float
    regularization_ratio: float
    regularization_images: int
    prior_weight: float
    variants: int
    flip: bool
    initializer_tokens: tuple[str, ...]
    update_rank: int
    guidance_scale: float
    sampler: SamplerName
    sampling_steps: int


PROFILES = {
    # docs/training.md has a table of what is as in the paper, and what is not.
    "sd1": Profile(
        resolution=512,
        steps=250,
        joint_steps=500,
        rows_per_step=8,
        learning_rate=8e-5,
        regularization_ratio=1.0,
        regularization_images=200,
        prior_weight=1.0,
        variants=40,
        flip=True,
        # The authors' three, then others as rare: of the last thirtieth of CLIP's vocabulary.
        initializer_tokens=("ktn", "pll@@", "ucd", "nrf", "mwf", "tvc", "pgs", "rcn"),
        update_rank=0,
        guidance_scale=6.0,
        sampler="dpm++",
        sampling_steps=50,
    ),
    # A sweep and a few trials after it found steps and learning rate: docs/tuning.md.
    "pocket": Profile(
        resolution=64,
        steps=600,
        joint_steps=1200,
        rows_per_step=8,
        learning_rate=3e-4,
        regularization_ratio=1.0,
        regularization_images=200,
        prior_weight=1.0,
        variants=40,
        # Its world knows each thing from one side.
        flip=False,
        # No word of its vocabulary is rare.
        initializer_tokens=(),
        update_rank=0,
        guidance_scale=4.0,
        sampler="dpm++",
        sampling_steps=20,
    ),
}
# Nobody has measured these: a whole update has 341 million values, so factors of the rank and the
# rate that is usual for them stand in its place.
PROFILES["sdxl"] = replace(
    PROFILES["sd1"], resolution=1024, learning_rate=1e-4, update_rank=32, guidance_scale=5.0
)
"""The profiles by name; `cdcore.model.families` says which family has which."""


def check_resolution(resolution: int) -> None:
    """Refuse a side of pictures, in pixels, that no U-Net could halve as often as it does.

    Raises:
        ConfigError: It is not a multiple of 64 from 64 to 4096.
    """
    if not _GRAIN <= resolution <= _MOST or resolution % _GRAIN:
        raise ConfigError(
            f"resolution is {resolution}, expected a multiple of {_GRAIN} from {_GRAIN} to {_MOST}"
        )
