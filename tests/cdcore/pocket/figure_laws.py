"""What every drawing of a figure keeps to."""

import numpy as np

from cdcore.pocket.drawing.canvas import Pen
from cdcore.pocket.drawing.figure import Spots
from tests.cdcore.pocket.drawing.pen_case import BLUE, RED, Draw, blank_pen, drawn, make_look

__all__ = ["check_detail", "check_figure"]


def check_figure(draw: Draw) -> Spots:
    """Check a figure on its own: it shows its look, keeps to its frame and can be repeated."""
    plain, again, coated, blue = blank_pen(), blank_pen(), blank_pen(), blank_pen()
    spots = draw(plain, make_look())
    assert draw(again, make_look()) == spots
    draw(coated, make_look(coat=True))
    draw(blue, make_look(color=BLUE))
    pictures = [np.asarray(pen.image) for pen in (plain, again, coated, blue)]
    assert (pictures[0] == pictures[1]).all()
    assert (pictures[0] == RED).all(axis=-1).sum() > 500, "the main colour must show"
    assert (pictures[2] == BLUE).all(axis=-1).sum() > 300, "the coat must show"
    assert (pictures[3] == BLUE).all(axis=-1).sum() > 500
    _check_frame(plain, spots)
    return spots


def check_detail(draw: Draw, detail: str) -> None:
    """Check that a detail changes a figure, and only a part of it."""
    bare, marked = blank_pen(), blank_pen()
    draw(bare, make_look())
    draw(marked, make_look(details=(detail,)))
    changed = (np.asarray(bare.image) != np.asarray(marked.image)).any(axis=-1).sum()
    assert 20 < changed < 0.4 * drawn(bare).sum()


def _check_frame(pen: Pen, spots: Spots) -> None:
    mask = drawn(pen)
    left, foot = pen.pixel(-0.92, -0.08)
    right, top = pen.pixel(0.92, 1.12)
    inside = mask[round(top) : round(foot), round(left) : round(right)]
    assert inside.sum() == mask.sum(), "nothing leaves the local frame"
    for spot in (spots.chest, spots.hat, spots.neck):
        if spot is not None:
            x, y = pen.pixel(spot.x, spot.y)
            around = mask[round(y) - 4 : round(y) + 5, round(x) - 4 : round(x) + 5]
            assert spot.reach > 0
            assert around.any(), f"{spot} lies beside the figure"
