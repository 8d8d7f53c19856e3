"""Tests of `cdcore.model.unread_text`."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdcore.concepts.prompt_templates import concept_prompts
from cdcore.merging.caption_bank import written_captions
from cdcore.model.base_files import local_base
from cdcore.model.unread_text import UnreadText, notes_on, unread_text


def _ends(text: str) -> list[int]:
    """Each word is a token."""
    return [match.end() for match in re.finditer(r"\S+", text)]


def _cut(prompt: str, room: int = 4) -> UnreadText:
    found = unread_text(prompt, room, _ends)
    assert found is not None
    return found


@given(
    st.lists(st.sampled_from(["a", "cat", "<mycat>", "<MyDog>", "near"]), max_size=12),
    st.integers(1, 8),
)
def test_what_is_read_and_what_is_not_make_up_the_prompt(words: list[str], room: int) -> None:
    prompt = " ".join(words)
    found = unread_text(prompt, room, _ends)
    assert (found is None) == (len(words) <= room)
    if found is not None:
        assert found.read + found.text == prompt
        assert found.read.split() == words[:room]
        assert (found.length, found.room) == (len(words), room)
        assert found.note.isprintable()


def test_a_token_that_falls_off_is_told_and_one_that_is_read_is_not() -> None:
    cut = _cut("a photo of a <mycat> cat")
    assert cut.text == " <mycat> cat"
    assert cut.tokens == ("<mycat>",)
    assert "has 6 tokens, of which this base reads 4: ' <mycat> cat' is cut off" in cut.note
    assert "and with it <mycat>: name the concept earlier" in cut.note
    assert _cut("a <mycat> cat and <MyCat> again").tokens == ()
    assert "with it" not in _cut("a <mycat> cat and <mycat> again").note


@pytest.mark.parametrize(
    ("prompt", "names", "is_hidden"),
    [
        ("a photo of a <MyCat> cat", ["<mycat>"], True),
        ("a photo of a <mycat> cat", ["<mydog>"], False),
        ("a <mycat> cat and <mycat>", ["<mycat>"], False),
        ("a photo of a <mycat> and <mydog>", ["<mycat>", "<mydog>"], True),
        ("a <mycat> next to <mydog>", ["<mycat>", "<mydog>"], False),
        ("a photo of an old Cat", ["cat"], True),
        ("a photo of a dog", ["cat"], False),
    ],
)
def test_a_concept_is_hidden_when_only_the_rest_names_it(
    prompt: str, names: list[str], is_hidden: bool
) -> None:
    assert _cut(prompt).hides(names) is is_hidden


def test_many_prompts_are_few_lines() -> None:
    assert notes_on([None, None]) == []
    assert len(notes_on([_cut("a b c d e"), None])) == 1
    lines = notes_on([_cut(f"a b c d {number}") for number in range(9)])
    assert len(lines) == 6
    assert lines[-1] == "4 more prompts are cut off"


def test_no_prompt_that_training_scoring_or_merging_makes_is_cut() -> None:
    # Not at the top: it imports torch, and nothing else here does.
    from cdcore.scoring.before_after import PAIR_PROMPTS, PROMPTS

    tokenizer, room = local_base("pocket").tokenizer, 38
    assert tokenizer is not None

    def ends_of(text: str) -> list[int]:
        return [end for _, end in tokenizer.encode(text, add_special_tokens=False).offsets]

    # A class noun takes eight tokens at most.
    noun = "qzjxwvky"
    assert len(ends_of(noun)) == 8
    templates = concept_prompts(pocket=True)
    captions = written_captions(pocket=True)
    made = [
        prompt.format(*[f"<mycat> {noun}"] * 2)
        for prompt in (*PROMPTS, *PAIR_PROMPTS, *templates.sketch, *templates.held_out)
    ]
    for text in (*made, *captions.fitted, *captions.held_out):
        assert unread_text(text, room, ends_of) is None, text
