"""Tests of `cdcore.pocket.drawing.figure`."""

import numpy as np
import pytest

from cdcore.pocket.drawing.figure import Spot, draw_eye, draw_eyes
from cdcore.pocket.drawing.palette import NAMED, RGB
from tests.cdcore.pocket.drawing.pen_case import blank_pen, drawn


@pytest.mark.parametrize(("face", "is_light"), [(NAMED["white"], False), (NAMED["black"], True)])
def test_eyes_stand_out_from_the_face(face: RGB, is_light: bool) -> None:
    pen = blank_pen()
    draw_eye(pen, 0.0, 0.5, face, size=0.1)
    brightness = np.asarray(pen.image)[drawn(pen)].mean(axis=-1)
    assert (brightness.max() > 200) == is_light
    assert brightness.min() < 60


def test_two_eyes_lie_on_both_sides_of_the_spot() -> None:
    pen = blank_pen()
    draw_eyes(pen, Spot(0.1, 0.5, 0.3), NAMED["red"])
    mask = drawn(pen)
    for x, has_eye in ((-0.2, True), (0.1, False), (0.4, True)):
        column, row = pen.pixel(x, 0.5)
        assert mask[round(row), round(column)] == has_eye
