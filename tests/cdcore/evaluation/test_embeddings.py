"""Tests of `cdcore.evaluation.embeddings`."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from cdcore.evaluation.embeddings import CellRows, is_done, load_notes, load_rows
from tests.cdcore.evaluation.cases import CELL


def rows(count: int = 2, *, present: bool = True) -> CellRows:
    generator = torch.Generator().manual_seed(count)
    return CellRows(
        clip=torch.randn(count, 4, generator=generator),
        dino=torch.randn(count, 5, generator=generator),
        text=torch.randn(count, 4, generator=generator),
        present=torch.tensor([True, False] * count)[:count] if present else None,
    )


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


def test_notes_are_kept_and_earlier_results_have_none(tmp_path: Path) -> None:
    path = CELL.file(tmp_path)
    rows().save(path, "d1", ["it misses cat by 40 %", "\u732b"])
    assert load_notes(path) == ("it misses cat by 40 %", "\u732b")
    rows().save(path, "d1")
    assert load_notes(path) == ()
    save_file({"clip": torch.zeros(1, 4)}, path, metadata={"digest": "d1"})
    assert load_notes(path) == ()


def test_joined_rows_stand_below_each_other() -> None:
    both = CellRows.joined([rows(2), rows(3)])
    assert torch.equal(both.clip, torch.cat([rows(2).clip, rows(3).clip]))
    assert both.present is not None
    assert both.present.tolist() == [True, False, True, False, True]
    assert CellRows.joined([rows(2, present=False)]).present is None
