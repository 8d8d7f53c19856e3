"""Tests of `benchmarks.serving.shelf`."""

from pathlib import Path

import pytest

from benchmarks.serving.shelf import Shelf, base_folder_of
from cdcore.concepts.storage import load_concept
from cdcore.model.base import Base
from cdcore.model.loading import load_base
from cdcore.model.location import POCKET_FOLDER


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


def test_its_concepts_can_be_merged(tiny_base: Base, tmp_path: Path) -> None:
    shelf = Shelf(tiny_base, tmp_path)
    weighted = [(reference, 1.0) for reference in shelf.references(3)]
    mix = shelf.merger(tiny_base).merge(weighted, "constrained")
    assert mix.report.drift > 0
    assert len(mix.concept.tokens) == 3


def test_bases_are_found_by_name(tmp_path: Path) -> None:
    assert base_folder_of("pocket", tmp_path) == POCKET_FOLDER
    assert base_folder_of("some/where", tmp_path) == Path("some/where")


@pytest.mark.slow
def test_the_pocket_shape_needs_no_weights(tmp_path: Path) -> None:
    base = load_base(str(base_folder_of("random-pocket", tmp_path / "base")))
    assert base.is_pocket
    assert base.latent_shape[1:] == (16, 16)
    assert base.seam.layout.text_width == 128
