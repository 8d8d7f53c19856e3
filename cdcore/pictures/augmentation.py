"""Augmentation: how large and where a picture stands on the training image, and what is said of it.

With S the resolution and s the side of the (square-cropped) picture on it, in pixels:

    with probability 2/3   s ~ uniform {S//3 ... S}
    else                   s ~ uniform {floor(1.2 S) ... floor(1.4 S) - 1}
    an odd s is rounded up to even

    far    s < 0.6 S        at a random place on mid grey, padding masked out of the loss
    mid    0.6 S <= s <= S  shown at S, no prefix
    zoom   s > S            a random S x S window of it

This is the resize augmentation of Kumari et al., "Multi-Concept Customization of Text-to-Image
Diffusion" (arXiv 2212.04488), with the sizes of their original training code.
"""

import random
from dataclasses import dataclass
from typing import Literal

import torch
from PIL import Image
from torch import Tensor

from cdcore.errors import ConfigError
from cdcore.pictures.pixels import to_tensor

__all__ = [
    "PREFIXES",
    "Variant",
    "apply_variant",
    "central_square",
    "draw_variant",
    "plain_variant",
]

Kind = Literal["far", "mid", "zoom"]

PREFIXES: dict[Kind, tuple[str, ...]] = {
    "far": ("a far away ", "very small "),
    "mid": ("",),
    "zoom": ("zoomed in ", "close up "),
}
"""What is put before a prompt, word for word as the authors' code has it; equally likely within a
kind."""

_MIN_RESOLUTION = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Variant:
    """One way to show a picture at a resolution S.

    Attributes:
        kind: Far, mid or zoom.
        size_px: Side of the shown picture; S for mid, less for far, more for zoom.
        left: Column of the picture's left edge on the training image; negative for zoom.
        top: Row of the picture's upper edge; negative for zoom.
        flip: Whether the picture is mirrored left to right.
        prefix: Text before the prompt (``variant.prefix + prompt``); "" for mid.
    """

    kind: Kind
    size_px: int
    left: int
    top: int
    flip: bool
    prefix: str


def plain_variant(resolution: int, *, flip: bool = False) -> Variant:
    """The whole square-cropped picture at full size, as regularization images are shown.

    Args:
        resolution: Side of the training images in pixels, even, at least 8.
        flip: Whether to mirror the picture.

    Raises:
        ConfigError: ``resolution`` is odd or less than 8.
    """
    _check_resolution(resolution)
    return Variant(kind="mid", size_px=resolution, left=0, top=0, flip=flip, prefix="")


def draw_variant(
    resolution: int, rng: random.Random, *, augment: bool = True, flip: bool = True
) -> Variant:
    """Draw how to show a target picture.

    At 512 pixels P(far) = 0.2663, P(mid) = 0.4004 and P(zoom) = 0.3333.

    Args:
        resolution: Side of the training images in pixels, even, at least 8.
        rng: The source of all draws; advanced.
        augment: False for the plain variant at every draw.
        flip: Whether half of the draws are mirrored.

    Raises:
        ConfigError: ``resolution`` is odd or less than 8.
    """
    _check_resolution(resolution)
    if not augment:
        return plain_variant(resolution, flip=_draw_flip(rng, flip))
    size_px = _draw_size(resolution, rng)
    kind = _kind(size_px, resolution)
    if kind == "mid":
        return plain_variant(resolution, flip=_draw_flip(rng, flip))
    # For zoom the room is negative: the picture starts before the window.
    room = resolution - size_px
    left, top = (rng.randint(min(room, 0), max(room, 0)) for _ in range(2))
    prefix = rng.choice(PREFIXES[kind])
    flip = _draw_flip(rng, flip)
    return Variant(kind=kind, size_px=size_px, left=left, top=top, flip=flip, prefix=prefix)


def apply_variant(
    image: Image.Image, variant: Variant, resolution: int, latent_factor: int
) -> tuple[Tensor, Tensor]:
    """Show a picture as a variant says.

    The picture is cropped to its central square, never squashed, and scaled with a bicubic filter.

    Args:
        image: Mode RGB, any size; not changed.
        variant: Drawn for this ``resolution``.
        resolution: Side S of the training image in pixels, a multiple of ``latent_factor``.
        latent_factor: Pixels per latent cell and axis, f (8 for Stable Diffusion).

    Returns:
        Pixels (3, S, S), float32 in [-1, 1], 0 where there is no picture; and the valid mask
        (1, S/f, S/f), uint8 in {0, 1}. The mask of a far variant keeps a margin of one latent cell
        to the padding and always has at least one valid cell.

    Raises:
        ConfigError: ``resolution`` is odd, less than 8 or no multiple of ``latent_factor``.
    """
    _check_resolution(resolution)
    if resolution % latent_factor:
        raise ConfigError(
            f"resolution {resolution} is not a multiple of {latent_factor}, the pixels per latent "
            f"cell of this base; use {resolution + -resolution % latent_factor}"
        )
    square = central_square(image, variant.size_px)
    if variant.flip:
        square = square.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    shown = to_tensor(square)
    pixels = torch.zeros(3, resolution, resolution)
    rows, rows_shown = _overlap(variant.top, variant.size_px, resolution)
    columns, columns_shown = _overlap(variant.left, variant.size_px, resolution)
    pixels[:, rows, columns] = shown[:, rows_shown, columns_shown]
    return pixels, _valid_mask(variant, resolution, latent_factor)


def central_square(image: Image.Image, size_px: int) -> Image.Image:
    """Return the central square of a picture, of ``size_px`` pixels a side, bicubic.

    A picture of just that size comes back as it is.
    """
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    box = (left, top, left + side, top + side)
    return image.resize((size_px, size_px), Image.Resampling.BICUBIC, box=box)


def _check_resolution(resolution: int) -> None:
    if resolution < _MIN_RESOLUTION or resolution % 2:
        raise ConfigError(
            f"resolution {resolution}: expected an even number of pixels, at least "
            f"{_MIN_RESOLUTION}"
        )


def _draw_flip(rng: random.Random, flip: bool) -> bool:
    # Drawn in any case: all else of a variant is the same with and without mirroring.
    return rng.random() < 0.5 and flip


def _draw_size(resolution: int, rng: random.Random) -> int:
    if rng.randrange(3) < 2:
        size_px = rng.randint(resolution // 3, resolution)
    else:
        size_px = rng.randint(resolution * 12 // 10, resolution * 14 // 10 - 1)
    return size_px + size_px % 2


def _kind(size_px: int, resolution: int) -> Kind:
    if 10 * size_px < 6 * resolution:
        return "far"
    return "mid" if size_px <= resolution else "zoom"


def _overlap(start: int, size_px: int, resolution: int) -> tuple[slice, slice]:
    """The part of [start, start + size) inside [0, resolution), seen from both sides."""
    first, last = max(start, 0), min(start + size_px, resolution)
    return slice(first, last), slice(first - start, last - start)


def _valid_mask(variant: Variant, resolution: int, latent_factor: int) -> Tensor:
    cells = resolution // latent_factor
    if variant.kind != "far":
        return torch.ones(1, cells, cells, dtype=torch.uint8)
    mask = torch.zeros(1, cells, cells, dtype=torch.uint8)
    rows = _valid_cells(variant.top, variant.size_px, latent_factor)
    columns = _valid_cells(variant.left, variant.size_px, latent_factor)
    mask[:, rows, columns] = 1
    return mask


def _valid_cells(start: int, size_px: int, latent_factor: int) -> slice:
    """Latent cells of one axis that count: the original's rule, or the closest nonempty one."""
    end = start + size_px
    first, last = start // latent_factor + 1, end // latent_factor - 1
    if first >= last:
        first, last = -(-start // latent_factor), end // latent_factor
    if first >= last:
        first = (start + size_px // 2) // latent_factor
        last = first + 1
    return slice(first, last)
