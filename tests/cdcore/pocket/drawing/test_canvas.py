"""Tests of `cdcore.pocket.drawing.canvas`."""

from PIL import Image

from cdcore.pocket.drawing.canvas import Coat, Pen, box, oval, poly, spotted, striped, stroke

WHITE, RED, BLUE = (255, 255, 255), (200, 0, 0), (0, 0, 200)


def _pen(*, mirrored: bool = False) -> Pen:
    image = Image.new("RGB", (192, 192), WHITE)
    return Pen(image, x=96, y=180, scale=150, mirrored=mirrored)


def test_paint_fills_inside_and_leaves_outside() -> None:
    pen = _pen()
    pen.paint([box(-0.3, 0.1, 0.3, 0.7)], RED)
    assert pen.image.getpixel((96, 120)) == RED
    assert pen.image.getpixel((5, 5)) == WHITE


def test_mirrored_pen_draws_on_the_other_side() -> None:
    for mirrored, x in ((False, 141), (True, 51)):
        pen = _pen(mirrored=mirrored)
        pen.paint([oval(0.3, 0.5, 0.1, 0.1)], RED)
        assert pen.image.getpixel((x, 105)) == RED
        assert pen.image.getpixel((192 - x, 105)) == WHITE


def test_coat_stays_inside_the_shape() -> None:
    for marks in (striped(upright=True), spotted()):
        pen = _pen()
        pen.cover([box(-0.3, 0.1, 0.3, 0.7)], Coat(BLUE, marks))
        inside = pen.image.crop((51, 75, 142, 166)).getcolors(2000) or ()
        total = sum(count for count, color in pen.image.getcolors(2000) or () if color == BLUE)
        assert total == sum(count for count, color in inside if color == BLUE)
        assert 1000 < total < 7000


def test_reveal_puts_the_backdrop_back() -> None:
    pen = _pen()
    backdrop = Image.new("RGB", (192, 192), BLUE)
    pen.paint([poly((-0.4, 0), (0.4, 0), (0, 0.9)), stroke(0.1, (0, 0), (0, 1))], RED)
    pen.reveal(oval(0, 0.3, 0.1, 0.1), backdrop)
    assert pen.image.getpixel((96, 135)) == BLUE
