"""Tests of `cdcore.model.unread_text`."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
