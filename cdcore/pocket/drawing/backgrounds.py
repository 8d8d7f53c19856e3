"""The places: simple picture-book backgrounds of a few flat regions and marks."""

import random
from collections.abc import Callable, Sequence

from PIL import Image, ImageDraw

from cdcore.pocket.drawing.palette import RGB, darker, jittered, mixed

# Small marks stand in the same places always: a network that is asked where they are this time has
# less left for what the picture shows.
_TUFTS = ((0.1, 0.8), (0.28, 0.95), (0.74, 0.96), (0.93, 0.82))
_PEBBLES = ((0.08, 0.84), (0.3, 0.96), (0.88, 0.9))
_FLAKES = (
    *((0.06, 0.1), (0.22, 0.2), (0.4, 0.07), (0.58, 0.18), (0.76, 0.06), (0.93, 0.17)),
    *((0.1, 0.36), (0.27, 0.5), (0.47, 0.3), (0.7, 0.36), (0.86, 0.5), (0.96, 0.38)),
)
_STARS = (
    *((0.06, 0.34), (0.22, 0.44), (0.32, 0.1), (0.42, 0.28)),
    *((0.58, 0.07), (0.68, 0.24), (0.8, 0.42), (0.95, 0.3)),
)

_Paint = Callable[[ImageDraw.ImageDraw, float, float, random.Random], None]


def draw_place(image: Image.Image, place: str, rng: random.Random) -> None:
    """Covers the image with a place.

    Args:
        image: A square RGB image.
        place: One of the places of a scene.
        rng: The source of all draws.
    """
    side = float(image.width)
    horizon = side * rng.uniform(0.58, 0.64)
    _PAINTS[place](ImageDraw.Draw(image), side, horizon, rng)


def shadow_color(place: str) -> RGB:
    """Returns the colour of the shadow a thing throws on the ground of a place."""
    return darker(_GROUNDS[place], 0.28)


_GROUNDS: dict[str, RGB] = {
    "on the grass": (150, 208, 96),
    "on the beach": (244, 220, 160),
    "in the snow": (240, 246, 252),
    "at night": (72, 88, 148),
    "in a room": (190, 128, 86),
    "in the forest": (112, 122, 66),
}


def _regions(draw: ImageDraw.ImageDraw, side: float, horizon: float, sky: RGB, ground: RGB) -> None:
    draw.rectangle((0, 0, side, horizon), fill=sky)
    draw.rectangle((0, horizon, side, side), fill=ground)


def _disc(draw: ImageDraw.ImageDraw, x: float, y: float, radius: float, color: RGB) -> None:
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=color)


def _scattered(side: float, marks: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    return [(side * x, side * y) for x, y in marks]


def _cloud(draw: ImageDraw.ImageDraw, x: float, y: float, radius: float, color: RGB) -> None:
    for dx, size in ((-1.2, 0.7), (0.0, 1.0), (1.2, 0.75)):
        _disc(draw, x + dx * radius, y + (1 - size) * radius, radius * size, color)


def _grass(draw: ImageDraw.ImageDraw, side: float, horizon: float, rng: random.Random) -> None:
    sky, ground = jittered((172, 224, 250), rng), jittered(_GROUNDS["on the grass"], rng)
    _regions(draw, side, horizon, sky, ground)
    x, radius = side * rng.choice((0.2, 0.8)), side * 0.38
    hill = mixed(ground, sky, 0.3)
    draw.ellipse((x - radius * 1.5, horizon - radius / 3, x + radius * 1.5, side), fill=hill)
    draw.rectangle((0, horizon + side * 0.05, side, side), fill=ground)
    _cloud(draw, side * rng.choice((0.16, 0.84)), side * 0.13, side * 0.07, (250, 252, 252))
    for x, y in _scattered(side, _TUFTS):
        tuft = ((x - 5, y), (x - 6, y - 9), (x, y - 3), (x + 6, y - 9), (x + 5, y))
        draw.polygon(tuft, fill=(112, 180, 74))


def _beach(draw: ImageDraw.ImageDraw, side: float, horizon: float, rng: random.Random) -> None:
    sand = jittered(_GROUNDS["on the beach"], rng)
    _regions(draw, side, horizon, jittered((216, 240, 248), rng), sand)
    sea = jittered((64, 186, 204), rng)
    draw.rectangle((0, horizon - side * 0.2, side, horizon), fill=sea)
    draw.rectangle((0, horizon, side, horizon + side * 0.025), fill=(250, 252, 250))
    x = side * rng.choice((0.14, 0.86))
    _disc(draw, x, side * 0.14, side * 0.085, (255, 226, 110))
    for x, y in _scattered(side, _PEBBLES):
        draw.ellipse((x - 5, y - 3, x + 5, y + 3), fill=(222, 190, 126))


def _snow(draw: ImageDraw.ImageDraw, side: float, horizon: float, rng: random.Random) -> None:
    snow, sky = jittered(_GROUNDS["in the snow"], rng, 3), jittered((158, 184, 212), rng)
    _regions(draw, side, horizon, sky, snow)
    x, peak = side * rng.choice((0.2, 0.8)), horizon - side * 0.26
    slope = side * 0.38
    draw.polygon(((x - slope, horizon), (x, peak), (x + slope, horizon)), fill=(206, 220, 236))
    for x, y in _scattered(side, _FLAKES):
        _disc(draw, x, y, side * 0.016, (252, 253, 255))


def _night(draw: ImageDraw.ImageDraw, side: float, horizon: float, rng: random.Random) -> None:
    sky = jittered((34, 40, 104), rng, 4)
    _regions(draw, side, horizon, sky, jittered(_GROUNDS["at night"], rng, 4))
    for x, y in _scattered(side, _STARS):
        _disc(draw, x, y, side * 0.013, (248, 238, 190))
    x, y = side * rng.choice((0.14, 0.86)), side * 0.15
    _disc(draw, x, y, side * 0.1, (252, 240, 180))
    _disc(draw, x + side * 0.045, y - side * 0.025, side * 0.085, sky)


def _room(draw: ImageDraw.ImageDraw, side: float, horizon: float, rng: random.Random) -> None:
    wall, floor = jittered((246, 208, 186), rng), jittered(_GROUNDS["in a room"], rng)
    _regions(draw, side, horizon, wall, floor)
    draw.rectangle((0, horizon - side * 0.05, side, horizon), fill=(252, 240, 226))
    x, y, reach = side * rng.choice((0.17, 0.83)), side * 0.2, side * 0.115
    draw.rectangle((x - reach, y - reach, x + reach, y + reach), fill=(252, 244, 230))
    inner = reach * 0.78
    draw.rectangle((x - inner, y - inner, x + inner, y + inner), fill=(150, 208, 238))
    draw.line((x, y - inner, x, y + inner), fill=(252, 244, 230), width=4)
    draw.line((x - inner, y, x + inner, y), fill=(252, 244, 230), width=4)
    top, bottom = side * 0.8, side * 0.99
    rug = mixed(jittered((178, 92, 96), rng), floor, 0.35)
    draw.ellipse((side * 0.06, top, side * 0.94, bottom), fill=rug)


def _forest(draw: ImageDraw.ImageDraw, side: float, horizon: float, rng: random.Random) -> None:
    deep = jittered((34, 82, 64), rng)
    _regions(draw, side, horizon, deep, jittered(_GROUNDS["in the forest"], rng))
    shift = rng.uniform(-0.04, 0.04)
    for index in range(4):
        x, width = side * (0.06 + 0.29 * index + shift), side * 0.042
        draw.rectangle((x - width, 0, x + width, horizon + side * 0.02), fill=(92, 68, 52))
    crown = mixed(deep, (92, 150, 76), 0.5)
    for index in range(5):
        _disc(draw, side * (0.25 * index + shift), -side * 0.02, side * 0.16, crown)


_PAINTS: dict[str, _Paint] = {
    "on the grass": _grass,
    "on the beach": _beach,
    "in the snow": _snow,
    "at night": _night,
    "in a room": _room,
    "in the forest": _forest,
}
