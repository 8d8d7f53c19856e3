"""Tests of `benchmarks.training.compare`."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from benchmarks.training.compare import TrainingBenchmark, measure
from benchmarks.training.report import show
from cdcore.errors import BaseModelError
from tests.rayjobs.train_case import write_pictures

ROOT = Path(__file__).resolve().parents[3]


def job(folder: Path, base: Path, **changes: Any) -> TrainingBenchmark:
    settings: dict[str, Any] = {
        "base": str(base),
        "images": write_pictures(folder / "images"),
        "quick": True,
        "engine": "local",
        "cache": folder / "cache",
    }
    return TrainingBenchmark(**settings | changes)


def test_pace_and_race_of_both_recipes_are_measured_and_shown(
    judged_folder: Path, tmp_path: Path
) -> None:
    console = Console(record=True, width=200, file=(tmp_path / "log").open("w"))
    figures = measure(job(tmp_path, judged_folder, parts=("pace", "race")), console)
    read = json.loads(json.dumps(figures))
    assert set(read["pace"]) == {"ours", "stock"}
    assert read["pace"]["stock"]["ratio_to_stock"] == 1
    assert read["pace"]["ours"]["steps_per_second"] > 0
    (heat,) = read["race"]["heats"]
    assert heat["stock"]["steps"] == heat["ours"][-1]["steps"] == 6
    assert heat["preparation"] > 0
    show(read, console)
    shown = console.export_text()
    assert "these figures only show that everything runs" in shown
    assert f"base {judged_folder}" in shown
    assert "never" in shown or f"{heat['finish']['seconds']:.1f}" in shown
    console.file.close()


def test_a_base_without_a_judge_cannot_race(tiny_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BaseModelError, match=r"has no judge.*--parts"):
        measure(job(tmp_path, tiny_folder, parts=("race",)), Console(quiet=True))


@pytest.mark.slow
def test_the_script_runs_and_writes_its_figures(judged_folder: Path, tmp_path: Path) -> None:
    made = job(tmp_path, judged_folder)
    command = [
        *(sys.executable, "benchmarks/training/compare.py"),
        *("--quick", "--parts", "flops", "memory"),
        *("--base", made.base, "--images", str(made.images), "--cache", str(made.cache)),
        *("--threads", "1", "--json", str(tmp_path / "figures.json")),
    ]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert {"flops", "memory", "machine", "seconds"} <= set(figures)
    assert figures["flops"]["sd1"]["ratio"] < 0.62
    assert figures["memory"]["stock"]["peak"] > figures["memory"]["stock"]["before"]
