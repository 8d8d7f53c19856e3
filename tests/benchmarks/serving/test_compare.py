"""Tests of `benchmarks.serving.compare`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.serving.compare import ServingBenchmark, measure
from benchmarks.serving.report import plot, show
from cdcore.errors import BaseModelError

# diffusers 0.42 hands tensors to numpy 2 in the old way.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.slow
def test_a_quick_run_measures_and_shows_everything(tiny_folder: Path, tmp_path: Path) -> None:
    job = ServingBenchmark(base=str(tiny_folder), quick=True, slots=2, device="cpu")
    with (tmp_path / "log").open("w") as log:
        console = Console(record=True, width=200, file=log)
        figures = json.loads(json.dumps(measure(job, console)))
        show(figures, console)
        shown = console.export_text()
    systems = {(row["live"], row["system"]) for row in figures["latency"]}
    assert systems == {(live, name) for live in (1, 10) for name in ("engine", "swap", "group")}
    for row in figures["latency"]:
        assert 0 < row["p50"] <= row["p95"] <= row["p99"]
    assert all(row["pictures_per_second"] > 0 for row in figures["throughput"])
    assert figures["merge"]["merge_s"] > 0
    assert figures["rate"] == pytest.approx(0.8 / figures["swap_service_s"])
    assert "these figures only show that everything runs" in shown
    assert "this engine" in shown
    plot(figures, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_a_missing_base_is_one_line(tmp_path: Path) -> None:
    job = ServingBenchmark(base=str(tmp_path / "none"), quick=True)
    with pytest.raises(BaseModelError, match="none"):
        measure(job, Console(quiet=True))


def test_it_runs_as_a_script() -> None:
    done = subprocess.run(
        [sys.executable, "benchmarks/serving/compare.py", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    assert "--load FLOAT" in done.stdout
