"""Tests of `cdcore.pocket.scenes.held_out`."""

import random

import pytest

from cdcore.pocket.scenes.held_out import HELD_OUT, HELD_OUT_LOOKS
from cdcore.pocket.scenes.scene import sample_scene
from cdcore.pocket.scenes.thing import KINDS


def test_there_is_one_held_out_thing_of_every_kind_each_with_a_mark_of_its_own() -> None:
    assert sorted(thing.kind for thing in HELD_OUT.values()) == sorted(KINDS)
    assert all(thing.details for thing in HELD_OUT.values())
    assert len(HELD_OUT_LOOKS) == len(HELD_OUT)


@pytest.mark.parametrize("name", HELD_OUT)
def test_a_held_out_look_is_a_pattern_in_two_colours(name: str) -> None:
    assert name.startswith("my")
    assert HELD_OUT[name].pattern != "plain"


def test_the_sampled_world_never_shows_a_held_out_look() -> None:
    for index in range(3000):
        things = sample_scene(random.Random(f"heldout:{index}")).things
        assert not {thing.look() for thing in things} & HELD_OUT_LOOKS
        assert not any(thing.details for thing in things)
