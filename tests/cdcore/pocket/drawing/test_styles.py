"""Tests of `cdcore.pocket.drawing.styles`."""

import random

import numpy as np
import pytest
from PIL import Image

from cdcore.pocket.drawing.styles import apply_style, faded
from cdcore.pocket.drawing.world import picture
from cdcore.pocket.scenes.scene import STYLES


@pytest.fixture(scope="module")
def image() -> Image.Image:
    return picture(0, 0).image


def test_only_watercolor_needs_a_filter(image: Image.Image) -> None:
    before = image.tobytes()
    for style in STYLES:
        made = apply_style(image, style, random.Random(0))
        assert (made.mode, made.size) == (image.mode, image.size)
        assert (made.tobytes() != before) == (style == "watercolor")
    assert image.tobytes() == before


def test_watercolor_ends_before_the_rim_and_depends_on_the_draws(image: Image.Image) -> None:
    first, again, other = (
        np.asarray(apply_style(image, "watercolor", random.Random(seed))) for seed in (0, 0, 1)
    )
    assert (first == again).all()
    assert (first != other).any()
    assert first[0, 0].min() > 190


def test_a_faded_background_is_pale_and_nearly_grey(image: Image.Image) -> None:
    before, after = (np.asarray(one).astype(int) for one in (image, faded(image)))
    assert after.mean() > before.mean()
    assert np.ptp(after, axis=-1).mean() < np.ptp(before, axis=-1).mean()
