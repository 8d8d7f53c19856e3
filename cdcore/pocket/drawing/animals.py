"""The animals, the teddy bear and the person, drawn in their local frames."""

from cdcore.pocket.drawing.canvas import Pen, box, curve, dome, oval, poly, stroke
from cdcore.pocket.drawing.figure import Look, Spot, Spots, draw_eye, draw_eyes
from cdcore.pocket.drawing.palette import CREAM, INK, NAMED, PINK, darker, mixed

_SKINS = ((250, 214, 180), (232, 184, 140), (186, 128, 88), (126, 82, 58))
_HAIRS = ((70, 44, 34), (40, 36, 44), (150, 84, 40), (226, 182, 92))
_TORTOISE_SKIN = (178, 176, 104)


def draw_cat(pen: Pen, look: Look) -> Spots:
    """Draws a sitting cat: pointed ears, whiskers, a curled tail."""
    color = look.color
    tilt = look.rng.choice((-0.03, 0.0, 0.03))
    tail = curve(0.11, (0.2, 0.07), (0.62, 0.0), (0.62, 0.62), (0.36, 0.5), (0.42, 0.34))
    pen.paint([tail], color)
    body = [oval(0, 0.31, 0.25, 0.26), oval(0, 0.19, 0.3, 0.19)]
    pen.paint(body, color, coat=look.coat)
    paws = mixed(color, CREAM, 0.45)
    for side in (-1, 1):
        pen.paint([oval(side * 0.13, 0.045, 0.1, 0.06)], paws, edge=0.7)
    for side in (-1, 1):
        ear = poly((side * 0.31 + tilt, 0.68), (side * 0.29 + tilt, 1.0), (side * 0.04, 0.84))
        inner = poly(
            (side * 0.25 + tilt, 0.76), (side * 0.255 + tilt, 0.92), (side * 0.13 + tilt, 0.84)
        )
        white = side == 1 and "one white ear" in look.details
        pen.paint([ear], NAMED["white"] if white else color)
        pen.paint([inner], PINK, edge=0)
    pen.paint([oval(tilt, 0.65, 0.33, 0.235)], color, coat=look.coat)
    muzzle = mixed(color, CREAM, 0.6)
    pen.paint([oval(tilt, 0.555, 0.13, 0.085)], muzzle, edge=0)
    nose = poly((tilt - 0.045, 0.6), (tilt + 0.045, 0.6), (tilt, 0.55))
    pen.paint([nose], (226, 96, 112), edge=0)
    for side in (-1, 1):
        pen.paint([oval(tilt + side * 0.145, 0.675, 0.062, 0.07)], (250, 246, 200), edge=0.4)
        pen.paint([oval(tilt + side * 0.14, 0.675, 0.034, 0.058)], INK, edge=0)
    return Spots(
        chest=Spot(0, 0.26, 0.15),
        hat=Spot(tilt, 0.83, 0.22),
        neck=Spot(0, 0.43, 0.23),
    )


def draw_dog(pen: Pen, look: Look) -> Spots:
    """Draws a standing dog seen from the side: floppy ear, snout, raised tail."""
    color = look.color
    dark = mixed(color, INK, 0.3)
    wag = look.rng.choice((-0.06, 0.0, 0.06))
    pen.paint([curve(0.09, (-0.42, 0.55), (-0.62, 0.6), (-0.6 + wag, 0.92))], color)
    for x in (-0.36, 0.16):
        pen.paint([box(x, 0.0, x + 0.13, 0.35, 0.05)], dark)
    legs = [box(x, 0.0, x + 0.15, 0.4, 0.06) for x in (-0.48, 0.27)]
    body = [
        box(-0.5, 0.28, 0.44, 0.63, 0.16),
        poly((0.1, 0.5), (0.43, 0.5), (0.5, 0.8), (0.2, 0.8)),
    ]
    pen.paint([*legs, *body], color, coat=look.coat)
    pen.paint([box(0.4, 0.62, 0.82, 0.84, 0.1)], mixed(color, CREAM, 0.4))
    pen.paint([oval(0.4, 0.8, 0.24, 0.2)], color)
    pen.paint([oval(0.79, 0.82, 0.065, 0.05)], INK, edge=0)
    pen.paint([stroke(0.02, (0.62, 0.69), (0.78, 0.68))], darker(color, 0.8), edge=0)
    if "eye patch" in look.details:
        pen.paint([oval(0.5, 0.85, 0.11, 0.12)], (70, 48, 40), edge=0)
        pen.paint([oval(0.5, 0.85, 0.055, 0.06)], CREAM, edge=0)
    draw_eye(pen, 0.51, 0.86, color, size=0.045)
    pen.paint([oval(0.26, 0.74, 0.1, 0.21, -8)], dark)
    return Spots(
        chest=Spot(-0.05, 0.46, 0.14),
        hat=Spot(0.37, 0.97, 0.2),
        neck=Spot(0.3, 0.58, 0.2, 14),
    )


def draw_tortoise(pen: Pen, look: Look) -> Spots:
    """Draws a tortoise seen from the side: a domed shell on short legs."""
    color = look.color
    bob = look.rng.choice((-0.03, 0.01, 0.05))
    pen.paint([poly((-0.5, 0.2), (-0.72, 0.13), (-0.5, 0.3))], _TORTOISE_SKIN)
    for x in (-0.44, 0.2):
        pen.paint([box(x, 0.0, x + 0.24, 0.3, 0.08)], _TORTOISE_SKIN)
    neck = stroke(0.17, (0.4, 0.27), (0.6, 0.4 + bob))
    pen.paint([neck, oval(0.68, 0.5 + bob, 0.19, 0.165)], _TORTOISE_SKIN)
    draw_eye(pen, 0.75, 0.55 + bob, _TORTOISE_SKIN, size=0.045)
    pen.paint(
        [curve(0.02, (0.72, 0.42 + bob), (0.79, 0.42 + bob), (0.83, 0.47 + bob))], INK, edge=0
    )
    shell = dome(-0.06, 0.22, 0.52, 0.66)
    pen.paint([shell], color, coat=look.coat)
    if look.coat is None:
        line = darker(color, 0.35)
        for x in (-0.26, 0.14):
            pen.paint([curve(0.035, (x, 0.3), (x * 0.7, 0.5), (x * 0.9, 0.74))], line, edge=0)
        pen.paint([curve(0.035, (-0.5, 0.5), (-0.06, 0.58), (0.38, 0.5))], line, edge=0)
    pen.paint([box(-0.62, 0.17, 0.5, 0.29, 0.05)], mixed(color, INK, 0.25))
    return Spots(
        chest=Spot(-0.06, 0.54, 0.17),
        hat=Spot(0.66, 0.63 + bob, 0.17),
        neck=Spot(0.55, 0.35 + bob, 0.15, -40),
    )


def draw_teddy_bear(pen: Pen, look: Look) -> Spots:
    """Draws a sitting teddy bear: round ears, a belly patch, foot pads."""
    color = look.color
    light = mixed(color, CREAM, 0.65)
    lift = look.rng.choice((-4, 4, 12))
    for side in (-1, 1):
        pen.paint([oval(side * 0.25, 0.9, 0.115, 0.11)], color)
        pen.paint([oval(side * 0.25, 0.89, 0.06, 0.055)], light, edge=0)
        arm = oval(side * 0.34, 0.38, 0.1, 0.2, side * (34 + lift))
        pen.paint([arm], color, coat=look.coat)
    pen.paint([oval(0, 0.31, 0.29, 0.29)], color, coat=look.coat)
    if look.coat is None:
        pen.paint([oval(0, 0.3, 0.17, 0.18)], light, edge=0)
    for side in (-1, 1):
        pen.paint([oval(side * 0.27, 0.12, 0.145, 0.13)], color, coat=look.coat)
        pen.paint([oval(side * 0.28, 0.115, 0.085, 0.075)], light, edge=0)
    pen.paint([oval(0, 0.74, 0.32, 0.25)], color)
    pen.paint([oval(0, 0.655, 0.15, 0.115)], light, edge=0)
    pen.paint([oval(0, 0.7, 0.055, 0.04)], INK, edge=0)
    pen.paint([curve(0.022, (-0.06, 0.625), (0, 0.59), (0.06, 0.625))], INK, edge=0)
    draw_eyes(pen, Spot(0, 0.78, 0.14), color, size=0.045)
    return Spots(chest=Spot(0, 0.31, 0.16), hat=Spot(0, 0.94, 0.23), neck=Spot(0, 0.5, 0.22))


def draw_person(pen: Pen, look: Look) -> Spots:
    """Draws a standing person whose coat has the main colour."""
    skin, hair = look.rng.choice(_SKINS), look.rng.choice(_HAIRS)
    trousers = (74, 78, 104)
    long_hair = look.rng.random() < 0.5
    swing = look.rng.choice((-0.04, 0.01, 0.06))
    if long_hair:
        pen.paint([box(-0.225, 0.55, 0.225, 0.92, 0.14)], hair)
    for side in (-1, 1):
        leg = box(min(side * 0.02, side * 0.17), 0.03, max(side * 0.02, side * 0.17), 0.3)
        pen.paint([leg], trousers)
        pen.paint([oval(side * 0.12, 0.035, 0.11, 0.045)], INK, edge=0.5)
        hand = (side * (0.36 + swing), 0.3)
        pen.paint([oval(hand[0], hand[1], 0.065, 0.065)], skin)
        pen.paint([stroke(0.13, (side * 0.17, 0.53), (hand[0], 0.36))], look.color)
    coat = poly((-0.18, 0.61), (0.18, 0.61), (0.28, 0.2), (-0.28, 0.2))
    pen.paint([coat], look.color, coat=look.coat)
    pen.paint([oval(0, 0.77, 0.205, 0.205)], skin)
    pen.paint([dome(0, 0.83, 0.215, 0.17)], hair, edge=0.6)
    draw_eyes(pen, Spot(0, 0.75, 0.085), skin, size=0.034)
    pen.paint([curve(0.022, (-0.05, 0.67), (0, 0.63), (0.05, 0.67))], (176, 60, 60), edge=0)
    if "round glasses" in look.details:
        for side in (-1, 1):
            pen.paint([oval(side * 0.09, 0.75, 0.09, 0.09)], INK, edge=0)
            pen.paint([oval(side * 0.09, 0.75, 0.06, 0.06)], (190, 236, 250), edge=0)
            pen.paint([oval(side * 0.09, 0.75, 0.025, 0.03)], INK, edge=0)
    return Spots(chest=Spot(0, 0.4, 0.12), hat=Spot(0, 0.89, 0.2), neck=Spot(0, 0.56, 0.17))
