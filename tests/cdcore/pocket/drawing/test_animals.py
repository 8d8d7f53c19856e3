"""Tests of `cdcore.pocket.drawing.animals`."""

import pytest

from cdcore.pocket.drawing import animals
from tests.cdcore.pocket.drawing.pen_case import Draw
from tests.cdcore.pocket.figure_laws import check_detail, check_figure

FIGURES = [
    animals.draw_cat,
    animals.draw_dog,
    animals.draw_tortoise,
    animals.draw_teddy_bear,
    animals.draw_person,
]


@pytest.mark.parametrize("draw", FIGURES)
def test_an_animal_is_a_figure_that_can_wear_everything(draw: Draw) -> None:
    spots = check_figure(draw)
    assert spots.hat is not None
    assert spots.neck is not None
    assert spots.neck.y < spots.hat.y


@pytest.mark.parametrize(
    ("draw", "detail"),
    [
        (animals.draw_cat, "one white ear"),
        (animals.draw_dog, "eye patch"),
        (animals.draw_person, "round glasses"),
    ],
)
def test_a_detail_shows(draw: Draw, detail: str) -> None:
    check_detail(draw, detail)
