"""Tests of `cdcore.model.modifier_tokens`."""

import pytest

from cdcore.errors import TokenError
from cdcore.model.modifier_tokens import (
    check_modifier_token,
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
