"""Tests of `cdcore.pocket.drawing.world`."""

import pytest

from cdcore.pocket.drawing.world import picture


def test_picture_depends_only_on_seed_and_index() -> None:
    first = picture(1, 7)
    picture(1, 8)
    again = picture(1, 7)
    assert first.image.tobytes() == again.image.tobytes()
    assert (first.caption, first.scene) == (again.caption, again.scene)


def test_pictures_differ_across_indices_and_seeds() -> None:
    drawn = {picture(seed, index).image.tobytes() for seed in (0, 1) for index in range(40)}
    assert len(drawn) == 80


def test_negative_index_is_refused() -> None:
    with pytest.raises(ValueError, match="index"):
        picture(0, -1)
