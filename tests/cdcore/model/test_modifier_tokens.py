"""Tests of `cdcore.model.modifier_tokens`."""

import pytest

from cdcore.errors import TokenError
from cdcore.model.modifier_tokens import (
    check_modifier_token,
    check_prompt,
    check_word,
    modifier_tokens,
    without_modifier_tokens,
)


def test_modifier_tokens_are_found_in_order() -> None:
    assert modifier_tokens("<b> and <A-1>, <b> <| not <these >") == ("<b>", "<a-1>", "<b>")


def test_only_well_formed_modifier_tokens_pass() -> None:
    for token in ("<a>", "<my-cat_2>", "<7>"):
        check_modifier_token(token)
    for token in ("mycat", "<>", "<MyCat>", "<my cat>", "<_a>", "<a>b", "<ä>", ""):
        with pytest.raises(TokenError, match="angle"):
            check_modifier_token(token)


def test_a_prompt_without_its_modifier_tokens_reads_as_if_they_had_never_been_there() -> None:
    assert without_modifier_tokens("a <mycat> cat and a <MyPot-2> pot") == "a cat and a pot"
    assert without_modifier_tokens("<new1>") == ""
    assert without_modifier_tokens("2 < 3 > 1, as ever") == "2 < 3 > 1, as ever"


def test_a_word_must_be_known_and_short() -> None:
    check_word("cat", [3])
    check_word("wooden pot", range(8))
    with pytest.raises(TokenError, match="'' is no word"):
        check_word("", [])
    with pytest.raises(TokenError, match="'<cat>' is no word"):
        check_word("<cat>", [3])
    with pytest.raises(TokenError, match="takes 9 tokens of this base's vocabulary, at most 8"):
        check_word("rarely", range(9))


def test_a_prompt_may_name_known_tokens_alone() -> None:
    check_prompt("a <MyCat> cat", ["<mycat>"])
    check_prompt("no token", [])
    with pytest.raises(TokenError, match=r"names <a>, <b>, which .*; known modifier tokens: <c>"):
        check_prompt("<b> and <a> and <c>", ["<c>"])
