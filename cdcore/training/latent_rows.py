"""Latent rows: pictures shown as variants and encoded by the VAE, a batch at a time.

B images of a batch, C latent channels, (h, w) latent cells, S pixels.
"""

import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cdcore.errors import PictureError
from cdcore.pictures.augmentation import Variant, apply_variant, draw_variant, plain_variant
from cdcore.pictures.picture_folder import Picture

__all__ = ["Encode", "LatentRow", "pool_variant", "regularization_rows", "target_rows"]

Encode = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Pixels (B, 3, S, S) float32 in [-1, 1] -> posterior mean and std, each (B, C, h, w), unscaled."""

_ENCODE_BATCH = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class LatentRow:
    """The posterior of one picture under one variant.

    Attributes:
        picture: Index in the list of pictures.
        prefix: Text before the prompt, may be "".
        mean: (C, h, w), any float type, before the scaling factor.
        std: (C, h, w), at least 0, before the scaling factor.
        valid_mask: (h, w) in {0, 1}; 0 where there is padding instead of picture.
    """

    picture: int
    prefix: str
    mean: Tensor
    std: Tensor
    valid_mask: Tensor


def target_rows(  # noqa: PLR0913 - all are keywords
    pictures: Sequence[Picture],
    *,
    variants: int,
    resolution: int,
    latent_factor: int,
    seed: int,
    encode: Encode,
    augment: bool = True,
    flip: bool = True,
) -> Iterator[LatentRow]:
    """Encode a pool of random variants of each target picture.

    A variant depends on ``seed``, the picture's digest and its number in the pool only: not on the
    other pictures, nor on the size of the pool.

    Args:
        pictures: The pictures of one concept.
        variants: Rows per picture, at least 1.
        resolution: Side S of the training images in pixels.
        latent_factor: Pixels per latent cell and axis.
        seed: The seed of the variants.
        encode: The VAE; called with at most 16 images at a time.
        augment: False for full-size variants.
        flip: Whether half of the variants are mirrored.

    Yields:
        ``variants`` rows of the first picture, then of the next.

    Raises:
        ConfigError: ``resolution`` does not suit the augmentation or ``latent_factor``.
        PictureError: The encoder makes no numbers of a picture.
    """
    shown = (
        (
            index,
            picture,
            pool_variant(picture, number, resolution, seed, augment=augment, flip=flip),
        )
        for index, picture in enumerate(pictures)
        for number in range(variants)
    )
    return _encoded(shown, resolution, latent_factor, encode)


def regularization_rows(
    pictures: Sequence[Picture],
    *,
    resolution: int,
    latent_factor: int,
    encode: Encode,
    flip: bool = True,
) -> Iterator[LatentRow]:
    """Encode each regularization picture as it is and, with ``flip``, mirrored.

    Args:
        pictures: The pictures of the class.
        resolution: Side S of the training images in pixels.
        latent_factor: Pixels per latent cell and axis.
        encode: The VAE; called with at most 16 images at a time.
        flip: Whether each picture is also mirrored.

    Yields:
        For each picture one row, and with ``flip`` a second, mirrored. All cells are valid, all
        prefixes empty.

    Raises:
        ConfigError: ``resolution`` is odd, less than 8 or no multiple of ``latent_factor``.
        PictureError: The encoder makes no numbers of a picture.
    """
    shown = (
        (index, picture, plain_variant(resolution, flip=mirrored))
        for index, picture in enumerate(pictures)
        for mirrored in ((False, True) if flip else (False,))
    )
    return _encoded(shown, resolution, latent_factor, encode)


def pool_variant(
    picture: Picture, number: int, resolution: int, seed: int, *, augment: bool, flip: bool
) -> Variant:
    """Draw how the pool of a picture shows it.

    Args:
        picture: Its digest is part of the draw.
        number: In the pool, from 0.
        resolution: Side S of the training images in pixels.
        seed: The seed of the variants.
        augment: False for full-size variants.
        flip: Whether half of the variants are mirrored.

    Raises:
        ConfigError: ``resolution`` does not suit the augmentation.
    """
    rng = random.Random(f"{seed}/{picture.digest}/{number}")
    return draw_variant(resolution, rng, augment=augment, flip=flip)


def _encoded(
    shown: Iterator[tuple[int, Picture, Variant]],
    resolution: int,
    latent_factor: int,
    encode: Encode,
) -> Iterator[LatentRow]:
    while chunk := list(itertools.islice(shown, _ENCODE_BATCH)):
        images = [apply_variant(p.image, v, resolution, latent_factor) for _, p, v in chunk]
        means, stds = encode(torch.stack([pixels for pixels, _ in images]))
        for (index, picture, variant), (_, mask), mean, std in zip(
            chunk, images, means, stds, strict=True
        ):
            if not (mean.isfinite().all() and std.isfinite().all()):
                raise PictureError(
                    f"{picture.path.name}: the autoencoder makes no numbers of this picture; leave "
                    "it out, or give a sound autoencoder (--vae)"
                )
            yield LatentRow(
                picture=index, prefix=variant.prefix, mean=mean, std=std, valid_mask=mask[0]
            )
