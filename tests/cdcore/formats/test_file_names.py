import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdcore.formats.file_names import file_stem, token_stems, valid_tokens
from cdcore.model.modifier_tokens import check_modifier_token

NAMES = st.lists(st.text(max_size=12), max_size=6, unique=True)


@given(st.text(max_size=300))
def test_any_name_becomes_one_that_every_system_takes(name: str) -> None:
    stem = file_stem(name)
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,90}", stem)
    assert stem.lower() not in {"con", "nul", "aux", "prn", "com1", "lpt9"}


@given(NAMES)
def test_all_tokens_become_different_valid_ones(names: list[str]) -> None:
    tokens = valid_tokens(names)
    assert list(tokens) == names
    assert len(set(tokens.values())) == len(names)
    for token in tokens.values():
        check_modifier_token(token)


@given(NAMES)
def test_all_files_have_different_names(names: list[str]) -> None:
    stems = token_stems(names)
    assert len({stem.lower() for stem in stems.values()}) == len(names)


@pytest.mark.parametrize(
    ("token", "stem"),
    [
        ("<mycat>", "mycat"),
        ("<con>", "con-concept"),
        ("<COM1>", "com1-concept"),
        ("<cat>", "cat-token"),
    ],
)
def test_files_are_named_like_the_token_where_that_is_safe(token: str, stem: str) -> None:
    assert token_stems([token], ["wooden pot", "Cat"]) == {token: stem}


def test_good_tokens_stay() -> None:
    assert valid_tokens(["<new1>", "<my-cat_2>"]) == {
        "<new1>": "<new1>",
        "<my-cat_2>": "<my-cat_2>",
    }
    assert valid_tokens(["sks", "<Sks>", "<*>"]) == {
        "sks": "<sks>",
        "<Sks>": "<sks-2>",
        "<*>": "<new>",
    }
