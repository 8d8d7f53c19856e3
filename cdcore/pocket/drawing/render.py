"""The rendering of a scene as a small picture."""

import random
from collections.abc import Callable
from typing import NamedTuple

from PIL import Image, ImageDraw

from cdcore.pocket.drawing import animals, objects
from cdcore.pocket.drawing.accessories import draw_collar, draw_details, draw_hat, draw_scarf
from cdcore.pocket.drawing.backgrounds import draw_place, shadow_color
from cdcore.pocket.drawing.canvas import SUPERSAMPLING, Coat, Pen, spotted, striped
from cdcore.pocket.drawing.figure import Look, Spots
from cdcore.pocket.drawing.palette import NAMED, jittered
from cdcore.pocket.drawing.styles import apply_style, faded
from cdcore.pocket.scenes.scene import Scene, Thing


class _Figure(NamedTuple):
    """How a kind is drawn.

    Its function, its local width and height, whether its stripes are vertical, the height at
    which another thing can stand on it, and the local x of the middle of its width.
    """

    draw: Callable[[Pen, Look], Spots]
    width: float
    height: float
    upright_stripes: bool
    top: float = 1.0
    middle: float = 0.0


_FIGURES: dict[str, _Figure] = {
    "cat": _Figure(animals.draw_cat, 0.95, 1.0, False),
    "dog": _Figure(animals.draw_dog, 1.52, 1.0, True, 1.0, 0.11),
    "chair": _Figure(objects.draw_chair, 0.86, 1.0, True, 0.47),
    "table": _Figure(objects.draw_table, 1.42, 0.8, True, 0.64),
    "wooden pot": _Figure(objects.draw_wooden_pot, 1.08, 0.95, True, 0.8),
    "flower": _Figure(objects.draw_flower, 0.72, 1.02, False),
    "teddy bear": _Figure(animals.draw_teddy_bear, 0.9, 1.0, False),
    "tortoise": _Figure(animals.draw_tortoise, 1.6, 0.9, True, 0.84, 0.07),
    "barn": _Figure(objects.draw_barn, 1.12, 1.0, True, 0.97),
    "moon gate": _Figure(objects.draw_moon_gate, 1.6, 0.98, False, 0.95),
    "person": _Figure(animals.draw_person, 0.85, 1.0, False),
}


class _Stand(NamedTuple):
    """Where a thing stands: foot point and height as shares of the picture side."""

    x: float
    foot: float
    height: float
    width: float
    mirrored: bool = False


def render(scene: Scene, rng: random.Random, size: int = 64) -> Image.Image:
    """Draws a scene.

    Args:
        scene: What to draw.
        rng: The source of all draws: positions, sizes, poses, tints.
        size: The side of the picture in pixels, positive.

    Returns:
        An RGB image of size x size pixels.

    Raises:
        ValueError: If the size is not positive.
    """
    if size <= 0:
        raise ValueError(f"size must be positive, not {size}")
    side = size * SUPERSAMPLING
    image = Image.new("RGB", (side, side))
    draw_place(image, scene.place, rng)
    stands = _stands(scene, rng)
    grounded = 1 if scene.relation == "on top of" else 0
    for thing, stand in zip(scene.things[grounded:], stands[grounded:], strict=True):
        _draw_shadow(image, thing, stand, scene.place)
    pencil = scene.style == "pencil sketch"
    if pencil:
        image = faded(image)
    backdrop = image.copy()
    # The base of a pile is drawn before what stands on it.
    for thing, stand in reversed(list(zip(scene.things, stands, strict=True))):
        _draw_thing(image, backdrop, thing, stand, pencil, rng)
    if scene.framing == "zoom":
        window = _window(scene, stands[0], side, rng)
        picture = image.resize((size, size), Image.Resampling.BOX, box=window)
    else:
        picture = image.reduce(SUPERSAMPLING)
    return apply_style(picture, scene.style, rng)


def _stands(scene: Scene, rng: random.Random) -> list[_Stand]:
    foot = rng.uniform(0.88, 0.92)
    if len(scene.things) == 1:
        if scene.framing == "small":
            x, foot = rng.uniform(0.25, 0.75), rng.uniform(0.74, 0.84)
            return [_Stand(x, foot, rng.uniform(0.2, 0.25), 0.32)]
        shift = 0.02 if scene.framing == "zoom" else 0.05
        height = rng.uniform(0.62, 0.72)
        return [_Stand(0.5 + rng.uniform(-shift, shift), foot, height, 0.88)]
    if scene.relation == "on top of":
        return _pile(scene, rng, foot)
    left = _Stand(0.265 + rng.uniform(-0.02, 0.02), foot, rng.uniform(0.45, 0.52), 0.47)
    right = _Stand(
        0.735 + rng.uniform(-0.02, 0.02),
        foot + rng.uniform(-0.02, 0.02),
        rng.uniform(0.45, 0.52),
        0.47,
        # Two neighbours look at each other.
        mirrored=True,
    )
    return [left, right]


def _pile(scene: Scene, rng: random.Random, foot: float) -> list[_Stand]:
    figure = _FIGURES[scene.things[1].kind]
    x = 0.5 + rng.uniform(-0.04, 0.04)
    base = _Stand(x, foot, rng.uniform(0.42, 0.48), 0.72)
    reach = _unit(figure, base) * figure.top
    return [_Stand(x + rng.uniform(-0.03, 0.03), foot - reach, rng.uniform(0.36, 0.42), 0.6), base]


def _unit(figure: _Figure, stand: _Stand) -> float:
    """Returns the length of a local unit as a share of the picture side."""
    return min(stand.height / figure.height, stand.width / figure.width)


def _draw_shadow(image: Image.Image, thing: Thing, stand: _Stand, place: str) -> None:
    figure = _FIGURES[thing.kind]
    x, y = stand.x * image.width, stand.foot * image.width
    reach = figure.width * _unit(figure, stand) * image.width * 0.52
    shadow = (x - reach, y - reach * 0.16, x + reach, y + reach * 0.16)
    ImageDraw.Draw(image).ellipse(shadow, fill=shadow_color(place))


def _draw_thing(
    image: Image.Image,
    backdrop: Image.Image,
    thing: Thing,
    stand: _Stand,
    pencil: bool,
    rng: random.Random,
) -> None:
    figure, side = _FIGURES[thing.kind], image.width
    unit = _unit(figure, stand) * side
    x, y = stand.x * side, stand.foot * side
    shift = figure.middle * unit * (1 if stand.mirrored else -1)
    pen = Pen(image, x=x + shift, y=y, scale=unit, mirrored=stand.mirrored, pencil=pencil)
    look = Look(
        color=jittered(NAMED[thing.color], rng),
        coat=_coat(thing, figure, rng),
        details=thing.details,
        rng=rng,
        backdrop=backdrop,
    )
    spots = figure.draw(pen, look)
    draw_details(pen, spots, look)
    if thing.scarf and spots.neck:
        draw_scarf(pen, spots.neck, jittered(NAMED[thing.scarf], rng))
    if thing.collar and spots.neck:
        draw_collar(pen, spots.neck, jittered(NAMED[thing.collar], rng))
    if thing.hat and spots.hat:
        draw_hat(pen, spots.hat, jittered(NAMED[thing.hat], rng))


def _coat(thing: Thing, figure: _Figure, rng: random.Random) -> Coat | None:
    if thing.pattern_color is None:
        return None
    color = jittered(NAMED[thing.pattern_color], rng)
    if thing.pattern == "striped":
        return Coat(color, striped(upright=figure.upright_stripes))
    return Coat(color, spotted())


def _window(
    scene: Scene, stand: _Stand, side: int, rng: random.Random
) -> tuple[float, float, float, float]:
    """Returns the part of the canvas that a zoomed picture shows, in canvas pixels."""
    shown = side / rng.uniform(1.35, 1.55)
    figure = _FIGURES[scene.things[0].kind]
    tall = _unit(figure, stand) * figure.height * side
    middle = stand.foot * side - tall * 0.56
    left = min(max(0.0, stand.x * side - shown / 2), side - shown)
    upper = min(max(0.0, middle - shown / 2), side - shown)
    return (left, upper, left + shown, upper + shown)


PICTURE_SIZE = 64
"""Side of a picture in pixels."""
