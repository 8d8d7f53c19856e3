"""Tests of `cdcore.merging.masked_report`."""

from pathlib import Path

from cdcore.concepts.masked_sum import MaskedSum
from cdcore.merging.concept_files import merge_files
from cdcore.merging.settings import MergeSettings
from cdcore.model.base import Base


def test_a_masked_sum_reports_what_its_masks_leave_out(
    files: list[tuple[Path, float]], tiny_base: Base, cache: Path
) -> None:
    merged = merge_files(files, MergeSettings(method="masked", cache=cache), base=tiny_base)
    assert isinstance(merged.update, MaskedSum)
    assert merged.report.drift == 0
    # The end token is not a word of the concept, so its row is missed.
    assert all(0.05 < (error.constraint or 0) < 1 for error in merged.report.concepts)
