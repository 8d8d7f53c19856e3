"""The objects of the pocket world, drawn in their local frames."""

from cdcore.pocket.drawing.canvas import Pen, Shape, box, curve, oval, poly, stroke
from cdcore.pocket.drawing.figure import Look, Spot, Spots, draw_eyes
from cdcore.pocket.drawing.palette import CREAM, GOLD, INK, NAMED, WOOD, darker, mixed

_LEAF = (70, 156, 66)
_STONE = (104, 112, 124)
_ROOF = (104, 66, 58)


def draw_chair(pen: Pen, look: Look) -> Spots:
    """Draws a chair from the front: two posts with a back panel, a seat, four legs."""
    color, dark = look.color, mixed(look.color, INK, 0.3)
    for side in (-1, 1):
        pen.paint([_column(side, 0.2, 0.07, 0.12, 0.36)], dark)
        pen.paint([_column(side, 0.27, 0.08, 0.45, 0.98)], dark)
    pen.paint([box(-0.36, 0.66, 0.36, 1.0, 0.08)], color, coat=look.coat)
    legs = [_column(side, 0.33, 0.1, 0.0, 0.4) for side in (-1, 1)]
    _draw_legs(pen, legs, look)
    seat = [poly((-0.42, 0.42), (0.42, 0.42), (0.34, 0.56), (-0.34, 0.56))]
    pen.paint(seat, mixed(color, CREAM, 0.15), coat=look.coat)
    pen.paint([box(-0.43, 0.33, 0.43, 0.43, 0.03)], color)
    return Spots(chest=Spot(0, 0.83, 0.13), hat=Spot(0.0, 0.99, 0.2))


def draw_table(pen: Pen, look: Look) -> Spots:
    """Draws a wide table from the front, its top seen from slightly above."""
    color, dark = look.color, mixed(look.color, INK, 0.3)
    for side in (-1, 1):
        pen.paint([_column(side, 0.4, 0.09, 0.12, 0.5)], dark)
    _draw_legs(pen, [_column(side, 0.56, 0.13, 0.0, 0.5) for side in (-1, 1)], look)
    top = poly((-0.7, 0.5), (0.7, 0.5), (0.52, 0.8), (-0.52, 0.8))
    pen.paint([top], mixed(color, CREAM, 0.12), coat=look.coat)
    pen.paint([box(-0.71, 0.38, 0.71, 0.51, 0.03)], color, coat=look.coat)
    return Spots(chest=Spot(0, 0.64, 0.1))


def draw_wooden_pot(pen: Pen, look: Look) -> Spots:
    """Draws a wooden tub: staves, two bands, an open rim."""
    tub = poly((-0.44, 0.82), (0.44, 0.82), (0.33, 0.03), (-0.33, 0.03))
    for side in (-1, 1):
        pen.paint([oval(side * 0.46, 0.7, 0.1, 0.1)], WOOD)
    pen.paint([tub], look.color, coat=look.coat)
    line = darker(look.color, 0.4)
    for share in (-0.5, 0, 0.5):
        pen.paint([stroke(0.02, (share * 0.66, 0.04), (share * 0.88, 0.8))], line, edge=0)
    for low, high in ((0.12, 0.22), (0.56, 0.66)):
        left, right = 0.34 + low * 0.14, 0.34 + high * 0.14
        band = poly((-left, low), (left, low), (right, high), (-right, high))
        pen.paint([band], WOOD, edge=0.6)
    pen.paint([oval(0, 0.83, 0.47, 0.13)], mixed(look.color, CREAM, 0.25))
    pen.paint([oval(0, 0.835, 0.37, 0.08)], (72, 48, 40), edge=0)
    return Spots(chest=Spot(0, 0.39, 0.15), hat=Spot(0, 0.9, 0.24))


def draw_flower(pen: Pen, look: Look) -> Spots:
    """Draws one big flower: six petals on a stem with two leaves."""
    sway = look.rng.choice((-0.06, 0.0, 0.06))
    pen.paint([curve(0.075, (0, 0.0), (sway, 0.25), (0, 0.55))], _LEAF)
    pen.paint([oval(-0.18, 0.16, 0.18, 0.075, -28), oval(0.18, 0.2, 0.18, 0.075, 28)], _LEAF)
    petals = [
        oval(0.0, 0.88, 0.135, 0.14),
        oval(0.0, 0.46, 0.135, 0.14),
        *(
            oval(side * 0.2, 0.67 + rise, 0.14, 0.135, side * rise * 280)
            for side in (-1, 1)
            for rise in (-0.11, 0.11)
        ),
    ]
    for petal in petals:
        pen.paint([petal], look.color, edge=0.8)
    pen.paint([oval(0, 0.67, 0.2, 0.2)], look.color, edge=0)
    if look.coat is not None:
        pen.cover(petals, look.coat)
    warm = look.color[0] > 200 and 100 < look.color[1] < 235
    heart = (136, 84, 48) if warm else GOLD
    pen.paint([oval(0, 0.67, 0.135, 0.135)], heart, edge=0.8)
    if "smiling face" in look.details:
        pen.paint([oval(0, 0.67, 0.175, 0.175)], NAMED["white"], edge=0.8)
        draw_eyes(pen, Spot(0, 0.71, 0.07), NAMED["white"])
        pen.paint([curve(0.04, (-0.09, 0.63), (0, 0.53), (0.09, 0.63))], INK, edge=0)
    return Spots(chest=Spot(0, 0.67, 0.13), hat=Spot(0, 0.95, 0.2))


def draw_barn(pen: Pen, look: Look) -> Spots:
    """Draws a barn from the front: a gambrel roof, a big crossed door, a loft window."""
    walls = poly(
        (-0.47, 0), (0.47, 0), (0.47, 0.52), (0.32, 0.8), (0, 0.95), (-0.32, 0.8), (-0.47, 0.52)
    )
    pen.paint([walls], look.color, coat=look.coat)
    edge = ((-0.54, 0.45), (-0.35, 0.82), (0, 0.97), (0.35, 0.82), (0.54, 0.45))
    pen.paint([stroke(0.1, *edge)], _ROOF)
    pen.paint([box(-0.2, 0.0, 0.2, 0.4)], WOOD)
    bar = 0.045
    frame = [
        stroke(bar, (-0.18, 0.02), (-0.18, 0.38), (0.18, 0.38), (0.18, 0.02)),
        stroke(bar, (-0.18, 0.02), (0.18, 0.38)),
        stroke(bar, (0.18, 0.02), (-0.18, 0.38)),
    ]
    pen.paint(frame, CREAM, edge=0)
    pen.paint([box(-0.1, 0.54, 0.1, 0.72)], (84, 62, 66))
    return Spots(chest=Spot(0, 0.63, 0.17))


def draw_moon_gate(pen: Pen, look: Look) -> Spots:
    """Draws a garden wall with a tiled top and a round opening that shows what lies behind."""
    pen.paint([box(-0.68, 0.0, 0.68, 0.84)], look.color, coat=look.coat)
    hole = oval(0, 0.4, 0.315, 0.315)
    pen.paint([oval(0, 0.4, 0.385, 0.385)], mixed(look.color, CREAM, 0.55), edge=0.8)
    pen.paint([hole], look.color)
    pen.reveal(hole, look.backdrop)
    coping = poly((-0.8, 0.82), (0.8, 0.82), (0.72, 0.9), (0.62, 0.98), (-0.62, 0.98), (-0.72, 0.9))
    pen.paint([coping], _STONE)
    for x in (-0.45, -0.15, 0.15, 0.45):
        pen.paint([stroke(0.025, (x * 1.1, 0.83), (x, 0.96))], darker(_STONE, 0.45), edge=0)
    if "lanterns" in look.details:
        for side in (-1, 1):
            pen.paint([oval(side * 0.54, 0.62, 0.1, 0.13)], GOLD)
            pen.paint([oval(side * 0.54, 0.62, 0.04, 0.13)], (244, 150, 40), edge=0)
    return Spots(chest=Spot(0, 0.8, 0.1))


def _column(side: int, middle: float, width: float, low: float, high: float) -> Shape:
    x = side * middle
    return box(x - width / 2, low, x + width / 2, high)


def _draw_legs(pen: Pen, legs: list[Shape], look: Look) -> None:
    for leg in legs:
        pen.paint([leg], look.color)
        if "checkered legs" not in look.details:
            continue
        (x0, y0), (x1, y1) = leg.points[0], leg.points[2]
        pen.paint([leg], NAMED["white"])
        step = (y1 - y0) / 4
        for row in range(4):
            near, far = (x0, (x0 + x1) / 2) if row % 2 else ((x0 + x1) / 2, x1)
            low = y0 + row * step
            pen.paint([box(near, low, far, low + step)], INK, edge=0)
