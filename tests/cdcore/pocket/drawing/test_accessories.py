"""Tests of `cdcore.pocket.drawing.accessories`."""

from collections.abc import Callable

import numpy as np
import pytest

from cdcore.pocket.drawing.accessories import draw_collar, draw_details, draw_hat, draw_scarf
from cdcore.pocket.drawing.canvas import Pen
from cdcore.pocket.drawing.figure import Spot, Spots
from cdcore.pocket.drawing.palette import RGB
from tests.cdcore.pocket.drawing.pen_case import RED, blank_pen, drawn, make_look

Wear = Callable[[Pen, Spot, RGB], None]


def rows_and_columns(pen: Pen) -> tuple[float, float, float, float]:
    """Left, right, lower and upper end of what was drawn, in local units."""
    rows, columns = np.nonzero(drawn(pen))
    x, y = pen.pixel(0, 0)
    unit = pen.pixel(1, 0)[0] - x
    return (
        (columns.min() - x) / unit,
        (columns.max() - x) / unit,
        (y - rows.max()) / unit,
        (y - rows.min()) / unit,
    )


@pytest.mark.parametrize("draw", [draw_hat, draw_collar, draw_scarf])
def test_an_accessory_has_its_colour_and_grows_with_its_spot(draw: Wear) -> None:
    widths = []
    for reach in (0.15, 0.3):
        pen = blank_pen()
        draw(pen, Spot(0.1, 0.5, reach), RED)
        assert (np.asarray(pen.image) == RED).all(axis=-1).sum() > 50
        left, right, low, high = rows_and_columns(pen)
        assert left < 0.1 < right
        assert low < 0.5 < high
        widths.append(right - left)
    assert widths[0] < widths[1]


def test_a_hat_sits_above_its_spot_and_a_scarf_hangs_below() -> None:
    spot = Spot(0, 0.5, 0.2)
    hat, scarf = blank_pen(), blank_pen()
    draw_hat(hat, spot, RED)
    draw_scarf(scarf, spot, RED)
    for pen, is_above in ((hat, True), (scarf, False)):
        _, _, low, high = rows_and_columns(pen)
        assert (high - spot.y > spot.y - low) == is_above


def test_a_collar_turns_with_its_neck() -> None:
    tilts = []
    for turn in (-40, 0, 40):
        pen = blank_pen()
        draw_collar(pen, Spot(0, 0.5, 0.3, turn), RED)
        rows, columns = np.nonzero((np.asarray(pen.image) == RED).all(axis=-1))
        tilts.append(-np.polyfit(columns, rows, 1)[0])
    assert tilts[0] < -0.3 < tilts[1] < 0.3 < tilts[2]


def test_emblems_are_drawn_on_the_chest_and_other_details_are_not() -> None:
    spots = Spots(chest=Spot(0, 0.5, 0.2))
    for detail, shows in (("star emblem", True), ("heart patch", True), ("eye patch", False)):
        pen = blank_pen()
        draw_details(pen, spots, make_look(details=(detail,)))
        x, y = pen.pixel(0, 0.5)
        assert drawn(pen)[round(y), round(x)] == shows
        assert drawn(pen).any() == shows
