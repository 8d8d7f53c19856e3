"""Tests of `cdcore.pocket.drawing.render`."""

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from cdcore.pocket.drawing.render import render
from cdcore.pocket.scenes.scene import BASES, COLORS, KINDS, PLACES, STYLES, WEARABLE, Scene, Thing


def _bytes(thing: Thing, *, place: str = "on the grass", style: str = "plain") -> bytes:
    scene = Scene(things=(thing,), place=place, style=style)
    return render(scene, random.Random(5)).tobytes()


def test_picture_is_rgb_of_the_asked_size() -> None:
    scene = Scene(things=(Thing(kind="cat", color="red"),), place="at night")
    for size in (32, 64, 96):
        image = render(scene, random.Random(0), size)
        assert (image.mode, image.size) == ("RGB", (size, size))


def test_size_must_be_positive() -> None:
    scene = Scene(things=(Thing(kind="cat", color="red"),), place="at night")
    with pytest.raises(ValueError, match="size"):
        render(scene, random.Random(0), 0)


def test_every_kind_and_color_looks_different() -> None:
    pictures = {_bytes(Thing(kind=kind, color=color)) for kind in KINDS for color in COLORS}
    assert len(pictures) == len(KINDS) * len(COLORS)


def test_every_place_and_style_looks_different() -> None:
    cat = Thing(kind="cat", color="red")
    pictures = {_bytes(cat, place=place, style=style) for place in PLACES for style in STYLES}
    assert len(pictures) == len(PLACES) * len(STYLES)


@pytest.mark.parametrize("kind", KINDS)
def test_patterns_and_accessories_show(kind: str) -> None:
    looks = [Thing(kind=kind, color="red")]
    looks += [
        Thing(kind=kind, color="red", pattern=pattern, pattern_color="blue")
        for pattern in ("striped", "spotted")
    ]
    wearable = [name for name, kinds in WEARABLE.items() if kind in kinds]
    for name in wearable:
        color: dict[str, Any] = {name: "blue"}
        looks.append(replace(looks[0], **color))
    assert len({_bytes(thing) for thing in looks}) == len(looks)


def test_framings_and_relations_draw_and_differ() -> None:
    cat = Thing(kind="cat", color="red")
    pictures = {
        render(
            Scene(things=(cat,), place="on the grass", framing=framing), random.Random(1)
        ).tobytes()
        for framing in ("normal", "small", "zoom")
    }
    for base in BASES:
        scene = Scene(
            things=(cat, Thing(kind=base, color="blue")),
            relation="on top of",
            place="on the grass",
        )
        pictures.add(render(scene, random.Random(1)).tobytes())
    assert len(pictures) == 3 + len(BASES)


def test_named_color_fills_much_of_the_picture() -> None:
    scene = Scene(things=(Thing(kind="barn", color="red"),), place="in the snow")
    image = render(scene, random.Random(3))
    red, green, blue = np.asarray(image).transpose(2, 0, 1)
    assert ((red > 180) & (green < 80) & (blue < 80)).sum() > 300


def test_of_neighbours_the_first_stands_left_and_they_look_at_each_other() -> None:
    dog = Thing(kind="dog", color="red")
    chair = Thing(kind="chair", color="blue")

    def red_side(things: tuple[Thing, ...], seed: int) -> float:
        scene = Scene(things=things, relation="next to", place="in the snow")
        red, _, blue = np.asarray(render(scene, random.Random(seed))).astype(int).transpose(2, 0, 1)
        columns = np.nonzero(red - blue > 100)[1]
        return float(columns.mean())

    for seed in range(8):
        assert red_side((dog, chair), seed) < 28
        assert red_side((chair, dog), seed) > 36
    scene = Scene(things=(dog, dog), relation="next to", place="in the snow")
    pixels = np.asarray(render(scene, random.Random(0))).astype(int)
    eyes = np.nonzero((pixels.max(axis=-1) < 60) & (np.arange(64)[:, None] < 40))[1]
    # Heads towards the middle: what is dark up there are noses and eyes.
    assert eyes.min() > 20
    assert eyes.max() < 44
