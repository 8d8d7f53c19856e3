"""Tests of `cdcore.training.initializer_tokens`."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from cdcore.concepts.subject import Subject
from cdcore.model.profiles import PROFILES
from cdcore.training.initializer_tokens import initializer_tokens

STABLE, POCKET = PROFILES["sd1"], PROFILES["pocket"]


def subjects(count: int) -> list[Subject]:
    return [Subject(class_noun=f"noun{n}", token=f"<thing{n}>") for n in range(count)]


def test_subjects_of_stable_diffusion_start_from_the_authors_words_in_their_order() -> None:
    words = initializer_tokens(STABLE, subjects(3), [None] * 3)
    assert words == ["ktn", "pll@@", "ucd"]


def test_on_a_base_without_rare_words_they_start_from_their_class_nouns() -> None:
    assert initializer_tokens(POCKET, subjects(2), [None, None]) == ["noun0", "noun1"]


@given(st.lists(st.sampled_from([None, "table", "ktn", "PLL@@", "ucd"]), min_size=1, max_size=12))
def test_what_is_asked_for_stands_and_no_word_is_given_out_twice(asked: list[str | None]) -> None:
    words = initializer_tokens(STABLE, subjects(len(asked)), asked)
    given_out = [word for word, own in zip(words, asked, strict=True) if own is None]
    assert [word for word, own in zip(words, asked, strict=True) if own is not None] == [
        own for own in asked if own is not None
    ]
    assert len(set(given_out)) == len(given_out)
    assert not {word.lower() for word in asked if word} & set(given_out)


def test_where_no_rare_word_is_left_a_subject_starts_from_its_class_noun() -> None:
    few = replace(STABLE, initializer_tokens=("ktn",))
    assert initializer_tokens(few, subjects(3), [None] * 3) == ["ktn", "noun1", "noun2"]


def test_a_subject_without_a_token_takes_no_word_away() -> None:
    bare = Subject(class_noun="cat", token=None)
    assert initializer_tokens(STABLE, [bare, *subjects(1)], [None, None]) == ["cat", "ktn"]
