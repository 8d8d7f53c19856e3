"""Tests of `cdcore.pocket.networks.tokenizer`."""

import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import CLIPTokenizer

from cdcore.pocket.networks.tokenizer import MAX_TOKENS, build_tokenizer
from cdcore.pocket.scenes.caption import caption, words
from cdcore.pocket.scenes.scene import sample_scene

WORDS = words()
LETTERS = st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=16)


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return build_tokenizer(WORDS)


def ids_of(tokenizer: Any, text: str) -> list[int]:
    ids: list[int] = tokenizer(text, add_special_tokens=False).input_ids
    return ids


def test_every_word_of_the_world_is_one_token_of_its_own(tokenizer: Any) -> None:
    ids = [ids_of(tokenizer, word) for word in WORDS]
    assert [word for word, found in zip(WORDS, ids, strict=True) if len(found) != 1] == []
    assert len({found[0] for found in ids}) == len(WORDS)


def test_a_caption_takes_one_token_a_word_and_always_fits(tokenizer: Any) -> None:
    for index in range(200):
        rng = random.Random(index)
        text = caption(sample_scene(rng), rng)
        assert len(ids_of(tokenizer, text)) == len(text.split()) <= MAX_TOKENS - 2


@given(text=st.lists(LETTERS, min_size=1, max_size=6).map(" ".join))
def test_any_lower_case_words_can_be_spelled_and_read_back(tokenizer: Any, text: str) -> None:
    assert tokenizer.decode(ids_of(tokenizer, text)).strip() == text


@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_any_text_at_all_has_known_ids(tokenizer: Any, text: str) -> None:
    assert all(0 <= id_ < len(tokenizer) for id_ in ids_of(tokenizer, text))


@settings(max_examples=30)
@given(vocabulary=st.lists(LETTERS, min_size=1, max_size=12))
def test_whatever_the_words_are_each_is_one_token(vocabulary: list[str]) -> None:
    tokenizer = build_tokenizer(vocabulary)
    assert all(len(ids_of(tokenizer, word)) == 1 for word in vocabulary)


def test_padding_is_done_with_the_end_token(tokenizer: Any) -> None:
    ids = tokenizer("a cat", padding="max_length", truncation=True).input_ids
    assert len(ids) == MAX_TOKENS == tokenizer.model_max_length
    assert ids[0] == tokenizer.bos_token_id
    assert ids[3:] == [tokenizer.eos_token_id] * (MAX_TOKENS - 3)
    assert tokenizer.pad_token_id == tokenizer.eos_token_id


def test_a_saved_tokenizer_agrees_when_it_is_loaded(tokenizer: Any, tmp_path: Path) -> None:
    tokenizer.save_pretrained(tmp_path)
    loaded = CLIPTokenizer.from_pretrained(tmp_path)
    texts = ["a red cat on the grass", "unheard-of words, twice!", "", "zzz"]
    assert len(loaded) == len(tokenizer)
    assert loaded.model_max_length == MAX_TOKENS
    for text in texts:
        assert loaded(text).input_ids == tokenizer(text).input_ids
