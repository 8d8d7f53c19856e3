"""Tests of `benchmarks.merging.precision`."""

import json
import sys
from pathlib import Path

import pytest

from benchmarks.merging import precision


@pytest.mark.slow
def test_half_precision_moved_what_files_keep_and_does_so_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "precision.json"
    monkeypatch.setattr(sys, "argv", ["precision.py", "--quick", "--json", str(output)])
    precision.main()
    exact, before, now = json.loads(output.read_text())["departures"]
    differences = ("features", "energy", "latents", "merged", "mixed")
    assert all(exact[name] == 0 for name in differences)
    assert all(now[name] < 1e-5 for name in differences)
    assert now["condition"] == pytest.approx(exact["condition"], rel=1e-5)
    assert now["missed"] == pytest.approx(exact["missed"], rel=1e-5)
    assert before["features"] > 1e-3
    assert before["missed"] > 3 * before["said"]
    assert before["missed"] > 3 * now["missed"]
