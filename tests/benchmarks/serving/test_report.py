"""Tests of `benchmarks.serving.report`."""

from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.serving.report import plot, show


def figures() -> dict[str, Any]:
    p95 = {"engine": 1.0, "swap": 4.0, "group": 3.0}
    all_p95 = {(live, name): value for live in (1, 10) for name, value in p95.items()}
    all_p95[1, "swap"] = 2.0
    return {
        "quick": False,
        "base": "pocket",
        "slots": 8,
        "rate": 2.0,
        "load": 0.8,
        "machine": {"processor": "a processor", "threads": 2, "date": "today"},
        "throughput": [
            {"live": live, "system": name, "pictures_per_second": 10.0 - live / 10}
            for live in (1, 10)
            for name in p95
        ],
        "latency": [
            {"live": live, "system": name, "p50": 0.5, "p95": all_p95[live, name], "p99": 5.0}
            | ({"most_turns_waited": 1} if name == "engine" else {})
            for live in (1, 10)
            for name in p95
        ],
        "batch": {"mixed_speed_share": 0.987},
        "merge": {"added_s": 0.0042, "merge_s": 0.0031},
    }


def test_aims_stand_beside_what_was_measured(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as log:
        console = Console(record=True, width=200, file=log)
        show(figures(), console)
        shown = console.export_text()
    for line in (
        "least over most: 0.909 (aim 0.95)",
        "same concept: 0.987 (aim 0.97)",
        "beside swapping: 0.25 with 10 live concepts, 0.50 at worst (aim 0.5)",
        "beside grouping: 0.33 with 10 live concepts, 0.33 at worst (aim 0.5)",
        "at most: 1 (aim 2)",
        "adds 4.2 ms, of which the merge takes 3.1 ms",
        "2.00 orders per second (80% of what swapping can do), a processor, 2 threads",
    ):
        assert line in shown


def test_the_picture_is_a_png(tmp_path: Path) -> None:
    plot(figures(), tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 5000
