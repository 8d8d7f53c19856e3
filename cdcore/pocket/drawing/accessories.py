"""The accessories and emblems, drawn on the spots that a figure reports."""

import math

from cdcore.pocket.drawing.canvas import Pen, Point, Shape, oval, poly, stroke
from cdcore.pocket.drawing.figure import Look, Spot, Spots
from cdcore.pocket.drawing.palette import GOLD, NAMED, RGB, darker

_HEART = (232, 60, 110)


def draw_hat(pen: Pen, spot: Spot, color: RGB) -> None:
    """Draws a hat with a wide brim and a ribbon; the spot is the middle of the brim."""
    x, y, reach = spot.x, spot.y, spot.reach
    top = y + reach * 0.98
    crown = poly(
        (x - reach * 0.66, y),
        (x + reach * 0.66, y),
        (x + reach * 0.56, top),
        (x - reach * 0.56, top),
    )
    pen.paint([crown], color)
    ribbon = poly(
        (x - reach * 0.65, y + reach * 0.1),
        (x + reach * 0.65, y + reach * 0.1),
        (x + reach * 0.62, y + reach * 0.38),
        (x - reach * 0.62, y + reach * 0.38),
    )
    pen.paint([ribbon], darker(color, 0.5), edge=0)
    pen.paint([stroke(reach * 0.26, (x - reach * 1.15, y), (x + reach * 1.15, y))], color)


def draw_collar(pen: Pen, spot: Spot, color: RGB) -> None:
    """Draws a collar with a golden tag; the spot is its middle."""
    pen.paint([_band(spot, spot.reach * 0.42)], color, edge=0.8)
    x, y = _turned(spot, 0.0, -0.09)
    pen.paint([oval(x, y, 0.055, 0.055)], GOLD, edge=0.7)


def draw_scarf(pen: Pen, spot: Spot, color: RGB) -> None:
    """Draws a thick scarf with a hanging end; the spot is its middle."""
    x, y = _turned(spot, spot.reach * 0.45, -0.02)
    tail = poly((x - 0.075, y), (x + 0.06, y), (x + 0.09, y - 0.3), (x - 0.08, y - 0.3))
    pen.paint([tail], color)
    pen.paint([_band(spot, spot.reach * 0.68)], color)


def draw_details(pen: Pen, spots: Spots, look: Look) -> None:
    """Draws the emblems among the details; the other details belong to the figures."""
    x, y, reach, _ = spots.chest
    if "star emblem" in look.details:
        pen.paint([_star(x, y, reach)], NAMED["yellow"])
    if "heart patch" in look.details:
        pen.paint([oval(x, y, reach * 1.15, reach * 1.15)], NAMED["white"])
        pen.paint(_heart(x, y, reach), _HEART, edge=0)


def _band(spot: Spot, width: float) -> Shape:
    ends = (
        (-spot.reach, 0.0),
        (-spot.reach * 0.5, -0.03),
        (spot.reach * 0.5, -0.03),
        (spot.reach, 0),
    )
    return stroke(width, *(_turned(spot, *end) for end in ends))


def _turned(spot: Spot, x: float, y: float) -> Point:
    cos, sin = math.cos(math.radians(spot.turn)), math.sin(math.radians(spot.turn))
    return (spot.x + x * cos - y * sin, spot.y + x * sin + y * cos)


def _star(x: float, y: float, reach: float) -> Shape:
    points = []
    for step in range(10):
        radius = reach * (1.1 if step % 2 == 0 else 0.5)
        angle = math.pi / 2 + math.pi * step / 5
        points.append((x + radius * math.cos(angle), y + radius * math.sin(angle)))
    return Shape(tuple(points))


def _heart(x: float, y: float, reach: float) -> list[Shape]:
    lobe = reach * 0.42
    return [
        oval(x - lobe * 0.9, y + lobe * 0.6, lobe, lobe),
        oval(x + lobe * 0.9, y + lobe * 0.6, lobe, lobe),
        poly((x - lobe * 1.85, y + lobe * 0.4), (x + lobe * 1.85, y + lobe * 0.4), (x, y - reach)),
    ]
