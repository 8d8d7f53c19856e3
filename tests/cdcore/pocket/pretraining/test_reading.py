"""Tests of `cdcore.pocket.pretraining.reading`."""

import random

import pytest
import torch

from cdcore.pocket.networks.tokenizer import MAX_TOKENS, build_tokenizer
from cdcore.pocket.pretraining.reading import ReadingKey, facts, with_odd_word
from cdcore.pocket.scenes.caption import caption, full_caption, words
from cdcore.pocket.scenes.scene import Scene, sample_scene

WIDTH = 128


@pytest.fixture(scope="module")
def key() -> ReadingKey:
    return ReadingKey(build_tokenizer(words()), WIDTH)


def said(text: str) -> dict[str, tuple[str, ...]]:
    return {fact[0]: fact[1:] for fact in facts(text) if fact}


def expected(scene: Scene) -> dict[str, tuple[str, ...]]:
    answer: dict[str, tuple[str, ...]] = {"place": (scene.place,)}
    if scene.style != "plain":
        answer["style"] = (scene.style,)
    if scene.framing != "normal":
        answer["framing"] = (scene.framing,)
    if scene.relation is not None:
        answer["relation"] = (scene.relation,)
    for number, thing in enumerate(scene.things):
        answer[f"thing {number}"] = (thing.kind, thing.color)
        if thing.pattern_color is not None:
            answer[f"pattern {number}"] = (thing.pattern, thing.pattern_color)
        for name, color in thing.accessories():
            answer[f"{name} {number}"] = (color,)
    return answer


def test_a_full_caption_says_the_whole_scene() -> None:
    rng = random.Random(0)
    for _ in range(500):
        scene = sample_scene(rng)
        assert said(full_caption(scene)) == expected(scene)


def test_a_loose_caption_says_nothing_that_is_not_so() -> None:
    rng = random.Random(1)
    for _ in range(500):
        scene = sample_scene(rng)
        truth = expected(scene)
        for role, values in said(caption(scene, rng)).items():
            # "a striped cat" says the pattern with the thing.
            known = {*truth[role], *truth.get(role.replace("thing", "pattern"), ())}
            assert set(values) <= known


def test_what_a_word_says_depends_on_no_later_word() -> None:
    text = "a photo of a red cat with green stripes next to a striped dog with a blue hat at night"
    whole = facts(text)
    for count in range(len(whole)):
        assert facts(" ".join(text.split()[:count])) == whole[:count]
    assert whole[5] == ("thing 0", "cat", "red")
    assert whole[13] == ("thing 1", "dog", "striped")
    assert whole[17] == ("hat 1", "blue")


@pytest.mark.parametrize("text", ["", "of next to next to a cat", "hat hat next to scarf"])
def test_any_text_can_be_read(key: ReadingKey, text: str) -> None:
    assert len(facts(text)) == len(text.split())
    assert key.rows([text]).shape == (1, MAX_TOKENS, WIDTH)


def test_an_odd_word_is_unknown_and_leaves_the_others_in_order() -> None:
    rng = random.Random(2)
    text = "a photo of a cat"
    seen = set()
    for _ in range(200):
        split = with_odd_word(text, rng).split()
        odd = next(word for word in split if word not in words())
        seen.add(split.index(odd))
        split.remove(odd)
        assert " ".join(split) == text
    assert seen == {0, 1, 2, 3, 4}, "before every word"
    assert with_odd_word("", rng) not in words()


def test_rows_have_unit_variance_and_words_without_a_say_are_alike(key: ReadingKey) -> None:
    rows = key.rows(["a photo of a cat", ""])
    assert torch.allclose(rows.var(dim=-1, correction=0), torch.ones(2, MAX_TOKENS), atol=1e-3)
    nothing = rows[1, 0]
    silent = (rows == nothing).all(dim=-1)
    assert silent[1].all()
    assert (~silent[0]).nonzero().tolist() == [[5]], "the start, four words and the cat"


def test_the_same_colour_of_another_thing_is_another_row(key: ReadingKey) -> None:
    red, blue, second = key.rows(["a red cat", "a blue cat", "a dog next to a red cat"])
    cosine = torch.nn.functional.cosine_similarity
    assert cosine(red[3], blue[3], dim=0) < 0.9
    assert 0.3 < cosine(red[3], second[7], dim=0) < 0.9


def test_an_odd_word_keeps_the_rows_of_the_others(key: ReadingKey) -> None:
    plain, odd = key.rows(["a red cat", "a red xyz cat"])
    letters = len(key._tokenizer("xyz", add_special_tokens=False).input_ids)
    assert torch.equal(odd[3 + letters], plain[3])
    spelled = odd[3 : 3 + letters]
    assert not (spelled[:, None] == plain).all(dim=-1).any(), "a letter is no word"
