"""Tests of `cdcore.pocket.drawing.objects`."""

import pytest

from cdcore.pocket.drawing import objects
from tests.cdcore.pocket.drawing.pen_case import Draw, blank_pen, drawn, make_look
from tests.cdcore.pocket.figure_laws import check_detail, check_figure

FIGURES = [
    objects.draw_chair,
    objects.draw_table,
    objects.draw_wooden_pot,
    objects.draw_flower,
    objects.draw_barn,
    objects.draw_moon_gate,
]


@pytest.mark.parametrize("draw", FIGURES)
def test_an_object_is_a_figure_without_a_neck(draw: Draw) -> None:
    assert check_figure(draw).neck is None


@pytest.mark.parametrize(
    ("draw", "detail"),
    [
        (objects.draw_chair, "checkered legs"),
        (objects.draw_table, "checkered legs"),
        (objects.draw_flower, "smiling face"),
        (objects.draw_moon_gate, "lanterns"),
    ],
)
def test_a_detail_shows(draw: Draw, detail: str) -> None:
    check_detail(draw, detail)


def test_a_moon_gate_shows_what_lies_behind() -> None:
    pen = blank_pen()
    objects.draw_moon_gate(pen, make_look())
    x, y = pen.pixel(0, 0.4)
    assert not drawn(pen)[round(y), round(x)]
