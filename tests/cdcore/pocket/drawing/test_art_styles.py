"""Tests of `cdcore.pocket.drawing.art_styles`."""

import random

import pytest

from cdcore.pocket.drawing.art_styles import ARTS, apply_art
from cdcore.pocket.drawing.world import picture


def test_arts_change_the_picture_and_differ() -> None:
    image = picture(0, 0).image
    made = [apply_art(image, art, random.Random(0)) for art in ARTS]
    assert all((one.mode, one.size) == (image.mode, image.size) for one in made)
    assert len({image.tobytes(), *(one.tobytes() for one in made)}) == len(ARTS) + 1


def test_unknown_art_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown art"):
        apply_art(picture(0, 0).image, "cubism", random.Random(0))
