"""Tests of `cdcore.merging.masked_report`."""

from pathlib import Path

import pytest

from cdcore.concepts.masked_sum import MaskedSum
from cdcore.merging.concept_files import merge_files
from cdcore.merging.settings import MergeSettings
from cdcore.model.base import Base


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def files(concept_file: Path, other_concept_file: Path) -> list[tuple[Path, float]]:
    return [(concept_file, 1.0), (other_concept_file, 0.5)]


def test_a_masked_sum_reports_what_its_masks_leave_out(
    files: list[tuple[Path, float]], tiny_base: Base, cache: Path
) -> None:
    merged = merge_files(files, MergeSettings(method="masked", cache=cache), base=tiny_base)
    assert isinstance(merged.update, MaskedSum)
    assert merged.report.drift == 0
    # The end token is not a word of the concept, so its row is missed.
    assert all(0.05 < (error.constraint or 0) < 1 for error in merged.report.concepts)
