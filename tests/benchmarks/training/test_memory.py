"""Tests of `benchmarks.training.memory`."""

from pathlib import Path

import pytest

from benchmarks.training.memory import measure_peak
from tests.benchmarks.case import case


@pytest.mark.slow
def test_more_rows_take_more_memory(judged_folder: Path, tmp_path: Path) -> None:
    few, many = (case(tmp_path, judged_folder, rows_per_step=rows) for rows in (2, 64))
    base = few.load_base()
    few.our_recipe(base)
    grown = []
    for made in (few, many):
        peak = measure_peak(made, "ours", steps=2)
        assert peak.peak >= peak.before > 0
        grown.append(peak.peak - peak.before)
    assert grown[1] > grown[0] + 10e6
    stock = measure_peak(many, "stock", steps=1)
    assert stock.peak - stock.before > 10e6
