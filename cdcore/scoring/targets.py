"""Training pictures as what a concept is scored against."""

from collections.abc import Sequence

import torch
from torch import Tensor

from cdcore.model.base import Base
from cdcore.pictures.augmentation import apply_variant, plain_variant
from cdcore.pictures.picture_folder import Picture

__all__ = ["picture_pixels"]


def picture_pixels(base: Base, pictures: Sequence[Picture]) -> Tensor:
    """Return pixels (N, 3, S, S) in [-1, 1] of pictures, whole and upright."""
    resolution = base.profile.resolution
    variant = plain_variant(resolution, flip=False)
    shown = [
        apply_variant(picture.image, variant, resolution, base.latent_factor)[0]
        for picture in pictures
    ]
    return torch.stack(shown)
