"""The inputs grid: what training sees of each picture, and what of it counts.

A row for each picture: its crop, then the first variants of its pool as the autoencoder gets them.
What the valid mask leaves out of the loss is tinted. S pixels along a side.
"""

from collections.abc import Sequence

import torch
from PIL import Image

from cdcore.pictures.augmentation import Variant, apply_variant, plain_variant
from cdcore.pictures.grid import grid
from cdcore.pictures.picture_folder import Picture
from cdcore.pictures.pixels import to_image
from cdcore.training.config import TrainingConfig
from cdcore.training.latent_rows import pool_variant

__all__ = ["inputs_grid"]

_MOST_PICTURES = 20
"""The most pictures of one subject."""
_MOST_VARIANTS = 5
_MOST_SIDE_PX = 192
_TINT = (0.9, -0.7, 0.1)
"""Colour of what does not count, RGB in [-1, 1]: no photograph has much of it."""
_TINT_SHARE = 0.6


def inputs_grid(
    pictures: Sequence[Sequence[Picture]],
    config: TrainingConfig,
    *,
    resolution: int,
    latent_factor: int,
) -> Image.Image:
    """Lay out the pictures of a run as training sees them.

    Args:
        pictures: The pictures of each subject, at least one; the first 20 are shown.
        config: The configuration of the run.
        resolution: Side S of the training images in pixels.
        latent_factor: Pixels per latent cell and axis.

    Returns:
        An RGB image on white: a row for each picture, labelled with its file's name.

    Raises:
        ConfigError: ``resolution`` does not suit the augmentation or ``latent_factor``.
    """
    variants = min(config.variants, _MOST_VARIANTS)
    rows, labels = [], []
    for subject, of_subject in zip(config.subjects, pictures, strict=True):
        for number, picture in enumerate(of_subject[:_MOST_PICTURES], start=1):
            shown = [plain_variant(resolution)]
            shown += [
                pool_variant(
                    picture,
                    number,
                    resolution,
                    config.seed,
                    augment=config.augment,
                    flip=config.flip,
                )
                for number in range(variants)
            ]
            rows.append([_seen(picture, one, resolution, latent_factor) for one in shown])
            more = len(of_subject) - number if number == _MOST_PICTURES else 0
            first = f"{subject.phrase}\n" if number == 1 and len(config.subjects) > 1 else ""
            labels.append(first + picture.path.name + (f"\nand {more} more" if more else ""))
    columns = ["crop", *(f"variant {number + 1}" for number in range(variants))]
    columns[1] += " (tinted: left out of the loss)"
    return grid(rows, columns=columns, labels=labels)


def _seen(picture: Picture, variant: Variant, resolution: int, latent_factor: int) -> Image.Image:
    pixels, mask = apply_variant(picture.image, variant, resolution, latent_factor)
    counts = mask.repeat_interleave(latent_factor, 1).repeat_interleave(latent_factor, 2).bool()
    tinted = pixels.lerp(torch.tensor(_TINT).view(3, 1, 1).expand_as(pixels), _TINT_SHARE)
    image = to_image(torch.where(counts, pixels, tinted))
    # A grid of twenty pictures at 512 pixels would be too large to look at.
    image.thumbnail((_MOST_SIDE_PX, _MOST_SIDE_PX), Image.Resampling.LANCZOS)
    return image
