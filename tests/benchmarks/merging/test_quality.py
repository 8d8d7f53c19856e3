"""Tests of `benchmarks.merging.quality`."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.merging import quality as merge_quality
from benchmarks.merging.quality import Line, table_rows
from benchmarks.merging.quality_cases import CASES
from benchmarks.merging.quality_scores import Scores

SCORES = Scores(kept=0.5, retention=0.9, together=0.25, text=0.6, drift=0.01)


def test_a_row_has_the_mean_and_the_spread_over_training_seeds() -> None:
    one = Line(case="a + b", method="ridge 3", seed=0, scores=SCORES)
    other = replace(one, seed=1, scores=replace(SCORES, kept=0.7), refused="ill-posed")
    alone = replace(one, method="joint")
    rows = table_rows([one, other, alone])
    assert [row[:3] for row in rows] == [
        ("a + b", "ridge 3", "0.600 ± 0.141"),
        ("a + b", "joint", "0.500"),
    ]
    assert [row[-1] for row in rows] == ["1 of 2", ""]


@pytest.mark.slow
def test_a_quick_run_trains_merges_and_draws(
    judged_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["--base", judged_folder, "--output", tmp_path, "--cache", tmp_path / "cache"]
    words += ["--quick", "--methods", "ridge", "joint", "--penalties", "1", "3"]
    monkeypatch.setattr(sys, "argv", ["merge_quality.py", *map(str, words)])
    merge_quality.main()
    lines = json.loads((tmp_path / "quality.json").read_text())["lines"]
    assert [line["method"] for line in lines] == ["ridge 1", "ridge 3", "joint"]
    assert all(line["scores"]["kept"] <= 1 for line in lines)
    with Image.open(tmp_path / "mypot-mycat.png") as picture:
        assert picture.height > picture.width / 2


@pytest.mark.slow
def test_a_case_without_anything_to_train_jointly_is_left_out(
    judged_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (single,) = (case for case in CASES if len(case.names) == 1)
    monkeypatch.setattr(merge_quality, "CASES", (single,))
    words = ["--base", judged_folder, "--output", tmp_path, "--cache", tmp_path / "cache"]
    words += ["--quick", "--methods", "joint"]
    monkeypatch.setattr(sys, "argv", ["merge_quality.py", *map(str, words)])
    merge_quality.main()
    assert json.loads((tmp_path / "quality.json").read_text())["lines"] == []
    assert not list(tmp_path.glob("*.png"))
