"""Tests of `cdcore.evaluation.cell`."""

from dataclasses import replace
from pathlib import Path

import pytest

from cdcore.evaluation.cell import filled
from tests.cdcore.evaluation.cases import CELL


def test_prompts_name_what_was_taught_and_are_scored_in_plain_words() -> None:
    phrases = ("<pot> wooden pot", "<cat-2> cat")
    assert CELL.prompts(phrases) == ("a <cat-2> cat in a <pot> wooden pot",) * 2
    assert CELL.plain_texts == ("a cat in a wooden pot",) * 2
    # The base was taught nothing, and drift asks for nothing that was.
    for changed in (replace(CELL, method="base"), replace(CELL, part="plain")):
        assert changed.prompts(phrases) == CELL.plain_texts


def test_no_modifier_token_reaches_a_score_even_where_a_prompt_file_has_one() -> None:
    cell = replace(CELL, texts=("a <new1> {0} beside {1}", "<V1>  {1}"))
    assert cell.plain_texts == ("a wooden pot beside cat", "cat")


def test_braces_that_mean_nothing_stay() -> None:
    assert filled("{0} {2} {x}", ("A", "B")) == "A {2} {x}"


@pytest.mark.parametrize(
    "change",
    [
        {"method": "sum"},
        {"part": "plain"},
        {"number": 4},
        {"entry": "pot+dog"},
        {"section": "single"},
    ],
)
def test_other_cells_have_other_files(change: dict[str, object]) -> None:
    other = replace(CELL, **change)  # type: ignore[arg-type]
    assert other.key != CELL.key
    assert other.file(Path("x")) != CELL.file(Path("x"))


def test_the_digest_covers_the_cell_and_all_that_it_depends_on() -> None:
    settings = {"base": "b", "steps": 20}
    digest = CELL.digest(settings)
    assert digest == CELL.digest({"steps": 20, "base": "b"})
    others = [
        CELL.digest({"base": "b", "steps": 21}),
        replace(CELL, seeds=(6, 8)).digest(settings),
        replace(CELL, texts=("a {0}", "a {1}")).digest(settings),
    ]
    assert len({digest, *others}) == 4
