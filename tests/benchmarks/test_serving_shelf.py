"""Tests of `benchmarks.serving_shelf`."""

from pathlib import Path

import pytest
import torch

from benchmarks.serving_shelf import Shelf, base_folder_of, summed
from cdcore.base import POCKET_FOLDER, Base, load_base
from cdcore.concept import load_concept
from serve.preparation import MergePart


def test_a_thousand_concepts_are_names_of_a_few_files(tiny_base: Base, tmp_path: Path) -> None:
    shelf = Shelf(tiny_base, tmp_path)
    references = shelf.references(1000)
    assert len(set(references)) == 1000
    assert len({shelf.token(reference) for reference in references}) == len(
        list(tmp_path.iterdir())
    )
    last = references[-1]
    copy = tmp_path / "copy.safetensors"
    shelf.fetch(last, copy)
    assert copy.stat().st_size == shelf.file_bytes(last)
    assert list(load_concept(copy).tokens) == [shelf.token(last)]
    assert shelf.concept(last).name == last.name


def test_a_sum_holds_all_tokens(tiny_base: Base, tmp_path: Path) -> None:
    shelf = Shelf(tiny_base, tmp_path)
    references = shelf.references(2)
    first, second = map(shelf.concept, references)
    parts = [MergePart(references[0], first, 0.5), MergePart(references[1], second, 2.0)]
    merged = summed(parts, "sum")
    assert merged.update is not None
    wanted = 0.5 * first.update.dense() + 2 * second.update.dense()
    torch.testing.assert_close(merged.update.dense(), wanted)
    assert set(merged.tokens) == {*first.tokens, *second.tokens}


def test_bases_are_found_by_name(tmp_path: Path) -> None:
    assert base_folder_of("pocket", tmp_path) == POCKET_FOLDER
    assert base_folder_of("some/where", tmp_path) == Path("some/where")


@pytest.mark.slow
def test_the_pocket_shape_needs_no_weights(tmp_path: Path) -> None:
    base = load_base(str(base_folder_of("random-pocket", tmp_path / "base")))
    assert base.is_pocket
    assert base.latent_shape[1:] == (16, 16)
    assert base.seam.layout.text_width == 128
