"""The palette of the pocket world: what the colour names look like."""

import random

RGB = tuple[int, int, int]
"""Red, green and blue, each in 0..255."""

NAMED: dict[str, RGB] = {
    "red": (216, 44, 46),
    "orange": (246, 136, 30),
    "yellow": (252, 214, 48),
    "green": (46, 152, 72),
    "blue": (44, 104, 218),
    "purple": (146, 70, 190),
    "black": (56, 54, 62),
    "white": (246, 244, 238),
}
INK: RGB = (38, 32, 40)
CREAM: RGB = (252, 240, 214)
WOOD: RGB = (150, 98, 58)
PINK: RGB = (240, 140, 150)
GOLD: RGB = (246, 200, 60)
PENCIL: RGB = (84, 82, 88)
PAPER: RGB = (248, 246, 241)

_JITTER = 7


def jittered(color: RGB, rng: random.Random, amount: int = _JITTER) -> RGB:
    """Returns a lighter or darker colour, each channel within `amount`, clipped to 0..255."""
    # One shift for all channels keeps white and black free of a tint.
    shift, slack = rng.randint(-amount, amount), amount // 3
    red, green, blue = (
        min(255, max(0, channel + shift + rng.randint(-slack, slack))) for channel in color
    )
    return (red, green, blue)


def mixed(first: RGB, second: RGB, share: float) -> RGB:
    """Returns the colour `share` (0..1) of the way from the first to the second."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return (red, green, blue)


def darker(color: RGB, share: float = 0.55) -> RGB:
    """Returns the colour `share` (0..1) of the way to ink; the default suits outlines."""
    return mixed(color, INK, share)


def pencilled(color: RGB, *, marks: bool = False) -> RGB:
    """Returns the colour as a pencil shades it on paper; small dark `marks` stay dark."""
    if marks and is_dark(color):
        return PENCIL
    grey = round(0.3 * color[0] + 0.59 * color[1] + 0.11 * color[2])
    return mixed(PAPER, mixed(color, (grey, grey, grey), 0.35), 0.46)


def is_dark(color: RGB) -> bool:
    """Tells whether ink would not show on the colour."""
    return 0.3 * color[0] + 0.59 * color[1] + 0.11 * color[2] < 80
