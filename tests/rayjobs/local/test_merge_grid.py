"""Tests of `rayjobs.local.merge_grid`."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cdcore.concepts.storage import load_concept
from cdcore.merging.concept_files import merge_files
from cdcore.merging.settings import MergeSettings
from cdcore.model.base import Base
from cdcore.pictures.png import SETTINGS_KEY
from rayjobs.local.merge_grid import save_merge_grid


@pytest.mark.parametrize("method", ["constrained", "masked"])
def test_a_sheet_has_each_concept_alone_merged_and_all_in_one(
    method: str, concept_file: Path, other_concept_file: Path, tiny_base: Base, tmp_path: Path
) -> None:
    files = [(concept_file, 1.0), (other_concept_file, 0.5)]
    settings = MergeSettings(method=method, cache=tmp_path, allow_ill_posed=True)  # type: ignore[arg-type]
    merged = merge_files(files, settings, base=tiny_base)
    concepts = [(load_concept(file), weight) for file, weight in files]
    seen: list[tuple[int, int]] = []
    path = tmp_path / "pair.png"
    save_merge_grid(
        path,
        tiny_base,
        merged,
        concepts,
        seeds=[3, 4],
        steps=2,
        on_step=lambda done, total: seen.append((done, total)),
    )
    assert seen[-1] == (2, 2)
    with Image.open(path) as picture:
        assert json.loads(picture.info[SETTINGS_KEY])["method"] == method
        pixels = np.asarray(picture)
    # Ten pictures of 192 pixels: two rows for each seed, of two and of three.
    colored = (pixels.max(axis=2).astype(int) - pixels.min(axis=2) > 0).sum()
    assert 8.5 * 192**2 < colored < 10.5 * 192**2


def test_one_concept_needs_no_picture_of_all(
    concept_file: Path, tiny_base: Base, tmp_path: Path
) -> None:
    settings = MergeSettings(cache=tmp_path, allow_ill_posed=True)
    merged = merge_files([(concept_file, 1.0)], settings, base=tiny_base)
    path = tmp_path / "one.png"
    concepts = [(load_concept(concept_file), 1.0)]
    save_merge_grid(path, tiny_base, merged, concepts, seeds=[0], steps=1)
    with Image.open(path) as picture:
        assert picture.height > picture.width
