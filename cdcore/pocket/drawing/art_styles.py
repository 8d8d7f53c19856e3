"""The art styles of the held-out style individuals: filters the sampled world never uses."""

import random

from PIL import Image, ImageChops, ImageDraw, ImageFilter

from cdcore.pocket.drawing.palette import RGB

ARTS = ("neon", "mosaic")
"""Glowing outlines on black, and tiles with light joints."""

_TILE = 4
_JOINT_STRENGTH = 130
_JOINT: RGB = (250, 242, 222)


def apply_art(image: Image.Image, art: str, rng: random.Random) -> Image.Image:
    """Turns a rendering into a piece of art.

    Args:
        image: An RGB image, not changed.
        art: One of `ARTS`.
        rng: The source of all draws.

    Returns:
        An RGB image of the same size.

    Raises:
        ValueError: If the art is unknown.
    """
    if art == "neon":
        return _neon(image)
    if art == "mosaic":
        return _mosaic(image, rng)
    raise ValueError(f"unknown art {art!r}, expected one of {', '.join(ARTS)}")


def _neon(image: Image.Image) -> Image.Image:
    spread = ImageChops.subtract(
        image.filter(ImageFilter.MaxFilter(3)), image.filter(ImageFilter.MinFilter(3))
    )
    red, green, blue = spread.split()
    steps = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    lines = steps.point(lambda value: max(0, min(255, (value - 48) * 3)))
    glow = lines.filter(ImageFilter.GaussianBlur(1.6)).point(lambda value: value // 2)
    hue = Image.linear_gradient("L").resize(image.size)
    full = Image.new("L", image.size, 255)
    shifted = hue.point(lambda value: 120 + value // 2)
    colors = Image.merge("HSV", (shifted, full, full)).convert("RGB")
    night = Image.new("RGB", image.size, (10, 4, 26))
    return Image.composite(colors, night, ImageChops.lighter(lines, glow))


def _mosaic(image: Image.Image, rng: random.Random) -> Image.Image:
    width, height = image.size
    grid = (max(1, width // _TILE), max(1, height // _TILE))
    tiles = image.resize(grid, Image.Resampling.BOX).resize(image.size, Image.Resampling.NEAREST)
    hue, saturation, value = Image.blend(tiles, image, 0.6).convert("HSV").split()
    vivid = saturation.point(lambda level: min(255, level * 5 // 4 + 24))
    shimmer = Image.frombytes("L", grid, rng.randbytes(grid[0] * grid[1]))
    shimmer = shimmer.resize(image.size, Image.Resampling.NEAREST)
    bright = ImageChops.multiply(value, shimmer.point(lambda level: 180 + level * 75 // 255))
    mosaic = Image.merge("HSV", (hue, vivid, bright)).convert("RGB")
    joints = Image.new("L", image.size)
    draw = ImageDraw.Draw(joints)
    for at in range(0, max(width, height), _TILE):
        draw.line((at, 0, at, height), fill=_JOINT_STRENGTH)
        draw.line((0, at, width, at), fill=_JOINT_STRENGTH)
    return Image.composite(Image.new("RGB", image.size, _JOINT), mosaic, joints)
