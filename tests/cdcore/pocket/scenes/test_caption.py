"""Tests of `cdcore.pocket.scenes.caption`."""

import random
import re

import pytest

from cdcore.pocket.scenes.caption import PREFIXES, caption, full_caption, words
from cdcore.pocket.scenes.scene import Scene, Thing, sample_scene

CAT = Thing(
    kind="cat", color="red", pattern="striped", pattern_color="yellow", hat="blue", collar="green"
)


@pytest.mark.parametrize(
    ("scene", "text"),
    [
        (
            Scene(things=(CAT,), place="on the beach"),
            "a photo of a red cat with yellow stripes and a blue hat and a green collar"
            " on the beach",
        ),
        (
            Scene(
                things=(Thing(kind="dog", color="white"), Thing(kind="chair", color="orange")),
                relation="on top of",
                place="at night",
                style="watercolor",
            ),
            "a watercolor of a white dog on top of an orange chair at night",
        ),
        (
            Scene(things=(Thing(kind="barn", color="red"),), place="in a room", framing="zoom"),
            "zoomed in photo of a red barn in a room",
        ),
    ],
)
def test_full_caption_says_everything(scene: Scene, text: str) -> None:
    assert full_caption(scene) == text


def test_captions_are_short_and_use_only_listed_words() -> None:
    rng, known = random.Random(1), set(words())
    for _ in range(3000):
        scene = sample_scene(rng)
        for text in (caption(scene, rng), full_caption(scene)):
            assert re.fullmatch("[a-z]+( [a-z]+)*", text)
            assert len(text.split()) <= 26
            assert known.issuperset(text.split())


def test_caption_always_names_the_kinds_and_is_deterministic() -> None:
    for seed in range(300):
        scene = sample_scene(random.Random(seed))
        text = caption(scene, random.Random(seed))
        assert text == caption(scene, random.Random(seed))
        assert all(thing.kind in text for thing in scene.things)


def test_framed_captions_mostly_start_with_a_prefix() -> None:
    scene = Scene(things=(CAT,), place="at night", framing="small")
    rng = random.Random(2)
    hits = sum(caption(scene, rng).startswith(PREFIXES["small"]) for _ in range(200))
    assert 150 < hits < 200


def test_words_are_sorted_and_unique() -> None:
    listed = words()
    assert list(listed) == sorted(set(listed))
    assert {"painting", "style", "picture", "of", "the", "and", "in", "my"} <= set(listed)
