"""What the drawings of all kinds share: the look they are given, the spots they report."""

import random
from dataclasses import dataclass
from typing import NamedTuple

from PIL import Image

from cdcore.pocket.drawing.canvas import Coat, Pen, oval
from cdcore.pocket.drawing.palette import INK, RGB, is_dark


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """How one thing is to be drawn.

    Attributes:
        color: The main colour.
        coat: The pattern of the main body, or None when plain.
        details: The small marks of a held-out individual.
        rng: The source of all draws.
        backdrop: What was on the canvas before the thing.
    """

    color: RGB
    coat: Coat | None
    details: tuple[str, ...]
    rng: random.Random
    backdrop: Image.Image


class Spot(NamedTuple):
    """A place on a figure: centre, half width, and turn in degrees, in local units."""

    x: float
    y: float
    reach: float
    turn: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Spots:
    """Where things can be put on a figure.

    Attributes:
        hat: The middle of the brim of a hat, or None.
        neck: The middle of a collar or scarf, or None.
        chest: The middle of an emblem.
    """

    chest: Spot
    hat: Spot | None = None
    neck: Spot | None = None


def draw_eyes(pen: Pen, spot: Spot, color: RGB, *, size: float = 0.042) -> None:
    """Draws two dot eyes on a face of the given colour; light ones on dark faces."""
    for side in (-1, 1):
        draw_eye(pen, spot.x + side * spot.reach, spot.y, color, size=size)


def draw_eye(pen: Pen, x: float, y: float, color: RGB, *, size: float = 0.042) -> None:
    """Draws one dot eye on a face of the given colour."""
    if is_dark(color):
        pen.paint([oval(x, y, size * 1.25, size * 1.4)], (250, 240, 190), edge=0)
    pen.paint([oval(x, y, size * 0.8, size)], INK, edge=0)
