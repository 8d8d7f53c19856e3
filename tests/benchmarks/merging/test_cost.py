"""Tests of `benchmarks.merging.cost`."""

import json
import sys
from pathlib import Path

import pytest

from benchmarks.merging import cost as merging


@pytest.mark.slow
def test_a_merged_pair_is_small_and_faster_than_the_published_algorithm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "merging.json"
    monkeypatch.setattr(sys, "argv", ["merging.py", "--quick", "--json", str(output)])
    merging.main()
    costs = json.loads(output.read_text())["costs"]
    assert [(cost["concepts"], cost["method"]) for cost in costs] == [
        (count, method) for count in (1, 2) for method in ("constrained", "ridge")
    ]
    for cost in costs:
        assert cost["file_bytes"] < 2.5e6
        # A loose bound: the machine may do other work, docs/merging.md has the figures.
        assert cost["literal_seconds"] > 10 * cost["median_seconds"]
