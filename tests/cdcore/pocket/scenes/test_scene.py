"""Tests of `cdcore.pocket.scenes.scene`."""

import random

import pytest

from cdcore.pocket.scenes.held_out import HELD_OUT_LOOKS
from cdcore.pocket.scenes.scene import COLORS, KINDS, PLACES, STYLES, Scene, Thing, sample_scene

CAT = Thing(kind="cat", color="red")
DOG = Thing(kind="dog", color="blue")
TABLE = Thing(kind="table", color="green")


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    rng = random.Random(0)
    return [sample_scene(rng) for _ in range(12000)]


def test_held_out_looks_and_details_are_never_sampled(scenes: list[Scene]) -> None:
    things = [thing for scene in scenes for thing in scene.things]
    assert HELD_OUT_LOOKS.isdisjoint(thing.look() for thing in things)
    assert all(not thing.details for thing in things)


def test_every_kind_color_and_place_is_sampled(scenes: list[Scene]) -> None:
    seen = {(thing.kind, thing.color) for scene in scenes for thing in scene.things}
    assert seen == {(kind, color) for kind in KINDS for color in COLORS}
    assert {scene.place for scene in scenes} == set(PLACES)
    assert {scene.style for scene in scenes} == set(STYLES)


def test_shares_are_as_designed(scenes: list[Scene]) -> None:
    def share(holds: list[bool]) -> float:
        return sum(holds) / len(scenes)

    assert share([len(s.things) == 2 for s in scenes]) == pytest.approx(0.4, abs=0.03)
    assert share([s.style != "plain" for s in scenes]) == pytest.approx(0.1, abs=0.02)
    assert share([s.framing == "small" for s in scenes]) == pytest.approx(0.05, abs=0.02)
    assert share([s.framing == "zoom" for s in scenes]) == pytest.approx(0.05, abs=0.02)


def test_the_same_seed_gives_the_same_scenes() -> None:
    assert sample_scene(random.Random(4)) == sample_scene(random.Random(4))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"things": ()}, "one or two things"),
        ({"things": (CAT,), "place": "on the moon"}, "unknown place"),
        ({"things": (CAT,), "style": "oil"}, "unknown style"),
        ({"things": (CAT,), "framing": "wide"}, "unknown framing"),
        ({"things": (CAT,), "relation": "next to"}, "no relation"),
        ({"things": (CAT, DOG)}, "need a relation"),
        ({"things": (CAT, DOG), "relation": "next to", "framing": "small"}, "framed normal"),
        ({"things": (CAT, DOG), "relation": "on top of"}, "nothing can stand on a dog"),
        ({"things": (TABLE, TABLE), "relation": "on top of"}, "a table cannot stand"),
    ],
)
def test_invalid_scenes_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Scene(**{"place": "on the grass", **arguments})  # type: ignore[arg-type]
