from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cdcore.evaluation.cell import Cell, filled
from cdcore.evaluation.embeddings import CellRows, is_done, load_rows

CELL = Cell(
    section="pair",
    entry="pot+cat",
    method="ridge",
    part="prompts",
    number=3,
    nouns=("wooden pot", "cat"),
    texts=("a {1} in a {0}",) * 2,
    seeds=(6, 7),
)


def rows(count: int = 2, *, present: bool = True) -> CellRows:
    generator = torch.Generator().manual_seed(count)
    return CellRows(
        clip=torch.randn(count, 4, generator=generator),
        dino=torch.randn(count, 5, generator=generator),
        text=torch.randn(count, 4, generator=generator),
        present=torch.tensor([True, False] * count)[:count] if present else None,
    )


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


@pytest.mark.parametrize("present", [True, False])
def test_rows_come_back_as_they_were(tmp_path: Path, present: bool) -> None:
    made, path = rows(present=present), CELL.file(tmp_path)
    made.save(path, "d1")
    read = load_rows(path)
    for name in ("clip", "dino", "text"):
        assert torch.equal(getattr(read, name), getattr(made, name))
    if made.present is None:
        assert read.present is None
    else:
        assert read.present is not None
        assert read.present.tolist() == [1.0, 0.0]


def test_a_cell_is_done_only_with_its_own_digest_and_a_whole_file(tmp_path: Path) -> None:
    path = CELL.file(tmp_path)
    assert not is_done(path, "d1")
    rows().save(path, "d1")
    assert is_done(path, "d1")
    assert not is_done(path, "d2")
    path.write_bytes(path.read_bytes()[:20])
    assert not is_done(path, "d1")


def test_joined_rows_stand_below_each_other() -> None:
    both = CellRows.joined([rows(2), rows(3)])
    assert torch.equal(both.clip, torch.cat([rows(2).clip, rows(3).clip]))
    assert both.present is not None
    assert both.present.tolist() == [True, False, True, False, True]
    assert CellRows.joined([rows(2, present=False)]).present is None
