"""Tests of `cdcore.pocket.drawing.backgrounds`."""

import random
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from cdcore.pocket.drawing.backgrounds import draw_place, shadow_color
from cdcore.pocket.scenes.scene import PLACES

SIDE = 192


def sheet(place: str, seed: int) -> npt.NDArray[np.uint8]:
    image = Image.new("RGB", (SIDE, SIDE), (255, 0, 255))
    draw_place(image, place, random.Random(seed))
    return np.asarray(image)


@pytest.mark.parametrize("place", PLACES)
def test_a_place_covers_the_sheet_and_varies_with_the_seed(place: str) -> None:
    first = sheet(place, 0)
    assert not (first == (255, 0, 255)).all(axis=-1).any()
    assert (first == sheet(place, 0)).all()
    assert (first != sheet(place, 1)).any()


def test_places_differ_more_than_draws_of_one_place() -> None:
    means = {
        place: np.mean([sheet(place, seed).mean(axis=(0, 1)) for seed in range(8)], axis=0)
        for place in PLACES
    }
    for first, second in combinations(means.values(), 2):
        assert np.abs(first - second).max() > 15


@pytest.mark.parametrize("place", PLACES)
def test_a_shadow_is_darker_than_its_ground(place: str) -> None:
    ground = sheet(place, 0)[SIDE * 7 // 10].mean()
    assert np.mean(shadow_color(place)) < ground
