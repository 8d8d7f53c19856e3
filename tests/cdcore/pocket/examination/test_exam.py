"""Tests of `cdcore.pocket.examination.exam`."""

from collections import Counter

import torch

from cdcore.pictures.pixels import to_image
from cdcore.pocket.drawing.world import picture
from cdcore.pocket.examination.exam import EXAM_SEED, draw_exam, is_pair, is_single, varied_exam
from cdcore.pocket.scenes.caption import full_caption
from cdcore.pocket.scenes.scene import KINDS, Scene, Thing

CAT, DOG = Thing(kind="cat", color="red"), Thing(kind="dog", color="blue")


def test_an_exam_is_the_start_of_its_world_and_repeats() -> None:
    long, short = draw_exam(12), draw_exam(5)
    assert len(long) == 12
    assert short.scenes == long.scenes[:5]
    assert torch.equal(short.pixels, long.pixels[:5])
    first = picture(EXAM_SEED, 0)
    assert first.scene == long.scenes[0]
    assert to_image(long.pixels[0]).tobytes() == first.image.tobytes()
    assert long.pixels.dtype == torch.float32
    assert long.pixels.abs().max() <= 1


def test_captions_say_everything_and_none_comes_twice() -> None:
    exam = draw_exam(200)
    assert exam.captions == tuple(full_caption(scene) for scene in exam.scenes)
    assert len(set(exam.captions)) == 200


def test_other_worlds_ask_other_questions() -> None:
    assert set(draw_exam(20, seed=1).captions).isdisjoint(draw_exam(20).captions)


def test_only_accepted_scenes_are_drawn() -> None:
    assert all(len(scene.things) == 1 for scene in draw_exam(30, is_single).scenes)
    for scene in draw_exam(30, is_pair).scenes:
        assert len({thing.kind for thing in scene.things}) == 2


def test_two_of_a_kind_are_neither_one_nor_a_pair() -> None:
    def next_to(*things: Thing) -> Scene:
        return Scene(things=things, relation="next to", place="at night")

    assert is_single(Scene(things=(CAT,), place="at night"))
    assert is_pair(next_to(CAT, DOG))
    assert not is_pair(next_to(CAT, CAT))
    assert not is_single(next_to(CAT, CAT))


def test_the_varied_exam_shows_every_kind_once() -> None:
    for seed in (EXAM_SEED, 1, 2):
        exam = varied_exam(seed)
        assert Counter(len(scene.things) for scene in exam.scenes) == {1: 5, 2: 3}
        kinds = [thing.kind for scene in exam.scenes for thing in scene.things]
        assert sorted(kinds) == sorted(KINDS)
