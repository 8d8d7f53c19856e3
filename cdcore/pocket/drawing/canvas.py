"""The canvas: a supersampled drawing surface with outlined shapes and masked patterns.

Shapes live in the local frame of a thing: x to the right with 0 in the middle, y upwards with
0 on the ground, and about 1 for the height of the thing.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from PIL import Image, ImageChops, ImageDraw

from cdcore.pocket.drawing.palette import PENCIL, RGB, darker, pencilled

SUPERSAMPLING = 3
"""How many canvas pixels make one picture pixel along each side."""

Point = tuple[float, float]
_ROUND_STEPS = 22
_SHARP_CORNERS = 10
_UNIT_CIRCLE = tuple(
    (math.cos(2 * math.pi * step / _ROUND_STEPS), math.sin(2 * math.pi * step / _ROUND_STEPS))
    for step in range(_ROUND_STEPS)
)


class Shape(NamedTuple):
    """A filled polygon (width 0) or an open stroke with round ends (width in local units)."""

    points: tuple[Point, ...]
    width: float = 0.0


@lru_cache(maxsize=4096)
def oval(x: float, y: float, rx: float, ry: float, turn: float = 0.0) -> Shape:
    """Returns an ellipse around (x, y), turned counter-clockwise by `turn` degrees."""
    cos, sin = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    points = []
    for unit_x, unit_y in _UNIT_CIRCLE:
        dx, dy = rx * unit_x, ry * unit_y
        points.append((x + dx * cos - dy * sin, y + dx * sin + dy * cos))
    return Shape(tuple(points))


@lru_cache(maxsize=1024)
def dome(x: float, y: float, rx: float, ry: float) -> Shape:
    """Returns the upper half of the ellipse around (x, y)."""
    angles = [math.pi * step / 16 for step in range(17)]
    return Shape(tuple((x + rx * math.cos(a), y + ry * math.sin(a)) for a in angles))


@lru_cache(maxsize=1024)
def box(x0: float, y0: float, x1: float, y1: float, round_: float = 0.0) -> Shape:
    """Returns an upright rectangle whose corners are rounded by `round_`."""
    if round_ == 0.0:
        return Shape(((x0, y0), (x1, y0), (x1, y1), (x0, y1)))
    points = []
    corners = (
        (x1 - round_, y1 - round_),
        (x0 + round_, y1 - round_),
        (x0 + round_, y0 + round_),
        (x1 - round_, y0 + round_),
    )
    for quarter, (cx, cy) in enumerate(corners):
        for step in range(4):
            angle = math.pi / 2 * (quarter + step / 3)
            points.append((cx + round_ * math.cos(angle), cy + round_ * math.sin(angle)))
    return Shape(tuple(points))


def poly(*points: Point) -> Shape:
    """Returns a filled polygon."""
    return Shape(points)


def stroke(width: float, *points: Point) -> Shape:
    """Returns an open line of the given width with round ends; a disc for a single point."""
    return Shape(points, width)


@lru_cache(maxsize=256)
def curve(width: float, *controls: Point) -> Shape:
    """Returns a stroke along the Bezier curve of the control points."""
    points = []
    for step in range(13):
        share = step / 12
        level = list(controls)
        while len(level) > 1:
            level = [
                (a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share)
                for a, b in pairwise(level)
            ]
        points.append(level[0])
    return Shape(tuple(points), width)


class Coat(NamedTuple):
    """A pattern in its own colour: marks that are cut to whatever they are put on."""

    color: RGB
    marks: tuple[Shape, ...]


def striped(*, upright: bool, pitch: float = 0.19) -> tuple[Shape, ...]:
    """Returns thick stripes that cover the local frame; `upright` stripes are vertical."""
    marks = []
    for index in range(int(2.2 / pitch)):
        near = -0.9 + index * pitch
        far = near + pitch * 0.48
        if upright:
            marks.append(poly((near, -0.1), (far, -0.1), (far, 1.2), (near, 1.2)))
        else:
            marks.append(poly((-1, near), (-1, far), (1, far), (1, near)))
    return tuple(marks)


def spotted(*, pitch: float = 0.25) -> tuple[Shape, ...]:
    """Returns big spots on a staggered grid that covers the local frame."""
    marks = []
    for row in range(7):
        for column in range(8):
            x = -0.95 + (column + 0.5 * (row % 2)) * pitch
            y = -0.15 + row * pitch * 0.85
            marks.append(stroke(0.6 * pitch, (x, y)))
    return tuple(marks)


class Pen:
    """Draws shapes of one local frame onto an image.

    Args:
        image: The RGB image to draw on, square.
        x: Where the local x = 0 lies, in image pixels.
        y: Where the local y = 0 lies, in image pixels, downwards.
        scale: The length of one local unit, in image pixels, positive.
        mirrored: Whether local x points to the left.
        pencil: Whether to draw grey lines and pale tints in place of full colours.
    """

    def __init__(
        self,
        image: Image.Image,
        *,
        x: float,
        y: float,
        scale: float,
        mirrored: bool = False,
        pencil: bool = False,
    ) -> None:
        """Keeps the frame."""
        self.image = image
        self._draw = ImageDraw.Draw(image)
        self._x, self._y, self._scale = x, y, scale
        self._sign = -scale if mirrored else scale
        self._pencil = pencil
        self._line = max(1.5, image.width / 64)

    def pixel(self, x: float, y: float) -> Point:
        """Returns the image pixel of a local point."""
        return (self._x + x * self._sign, self._y - y * self._scale)

    def paint(
        self, shapes: Sequence[Shape], color: RGB, *, coat: Coat | None = None, edge: float = 1.0
    ) -> None:
        """Fills the union of the shapes, with a darker outline of `edge` picture pixels.

        Args:
            shapes: The shapes whose union is painted.
            color: The colour of the inside.
            coat: The pattern to put on, if any.
            edge: The width of the outline in picture pixels, 0 for none.
        """
        if edge:
            outline = PENCIL if self._pencil else darker(color)
            for shape in shapes:
                self._put(self._draw, shape, outline, self._line * edge)
        fill = pencilled(color, marks=edge == 0) if self._pencil else color
        for shape in shapes:
            self._put(self._draw, shape, fill, 0)
        if coat is not None:
            self.cover(shapes, coat)

    def cover(self, shapes: Sequence[Shape], coat: Coat) -> None:
        """Puts the marks of a coat on the union of the shapes, without an outline."""
        mask = self._mask(shapes)
        color = pencilled(coat.color) if self._pencil else coat.color
        self.image.paste(color, mask=ImageChops.darker(mask, self._mask(coat.marks)))

    def reveal(self, shape: Shape, backdrop: Image.Image) -> None:
        """Cuts a hole: puts the backdrop, an image of the same size, back into the shape."""
        self.image.paste(backdrop, mask=self._mask((shape,)))

    def _mask(self, shapes: Sequence[Shape]) -> Image.Image:
        mask = Image.new("L", self.image.size)
        draw = ImageDraw.Draw(mask)
        for shape in shapes:
            self._put(draw, shape, 255, 0)
        return mask

    def _put(self, draw: ImageDraw.ImageDraw, shape: Shape, ink: RGB | int, grow: float) -> None:
        x, y, sign, scale = self._x, self._y, self._sign, self._scale
        points = [(x + px * sign, y - py * scale) for px, py in shape.points]
        if shape.width:
            radius = shape.width * scale / 2 + grow
            if len(points) > 1:
                draw.line(points, fill=ink, width=max(1, round(2 * radius)))
            _dots(draw, points, radius, ink)
            return
        if grow:
            draw.line([*points, points[0], points[1]], fill=ink, width=round(2 * grow))
            if len(points) <= _SHARP_CORNERS:
                _dots(draw, points, grow, ink)
        draw.polygon(points, fill=ink)


def _dots(
    draw: ImageDraw.ImageDraw, points: Sequence[Point], radius: float, ink: RGB | int
) -> None:
    if radius < 1.5:
        return
    for x, y in points:
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=ink)
