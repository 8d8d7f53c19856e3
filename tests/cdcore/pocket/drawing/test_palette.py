"""Tests of `cdcore.pocket.drawing.palette`."""

import random
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdcore.pocket.drawing.palette import (
    INK,
    NAMED,
    PAPER,
    PENCIL,
    RGB,
    darker,
    is_dark,
    jittered,
    mixed,
    pencilled,
)
from cdcore.pocket.scenes.scene import COLORS

CHANNEL = st.integers(0, 255)
COLOR = st.tuples(CHANNEL, CHANNEL, CHANNEL)


def distance(first: RGB, second: RGB) -> int:
    return max(abs(a - b) for a, b in zip(first, second, strict=True))


def test_every_colour_name_has_a_colour_of_its_own() -> None:
    assert set(NAMED) == set(COLORS)
    assert all(distance(*pair) > 40 for pair in combinations(NAMED.values(), 2))


@given(color=COLOR, seed=st.integers(), amount=st.integers(0, 60))
def test_jitter_stays_close_and_in_range(color: RGB, seed: int, amount: int) -> None:
    made = jittered(color, random.Random(seed), amount)
    assert all(0 <= channel <= 255 for channel in made)
    assert distance(made, color) <= amount + amount // 3
    assert made == jittered(color, random.Random(seed), amount)


@given(first=COLOR, second=COLOR, share=st.floats(0, 1))
def test_a_mixture_lies_between(first: RGB, second: RGB, share: float) -> None:
    made = mixed(first, second, share)
    for low, channel, high in zip(first, made, second, strict=True):
        assert min(low, high) <= channel <= max(low, high)
    assert mixed(first, second, 0) == first
    assert mixed(first, second, 1) == second


def test_darker_goes_to_ink_and_only_ink_would_not_show_on_the_dark() -> None:
    assert darker(NAMED["red"], 1) == INK
    assert [name for name, color in NAMED.items() if is_dark(color)] == ["black"]
    assert is_dark(INK)


@pytest.mark.parametrize("name", NAMED)
def test_pencil_is_pale_but_keeps_dark_marks(name: str) -> None:
    shaded = pencilled(NAMED[name])
    assert distance(shaded, PAPER) <= distance(NAMED[name], PAPER)
    assert max(shaded) - min(shaded) <= max(NAMED[name]) - min(NAMED[name])
    assert (pencilled(NAMED[name], marks=True) == PENCIL) == (name == "black")
