"""What a merge costs: ``python benchmarks/merging/cost.py``.

At the shapes of Stable Diffusion 1, 2 and XL, for 1 to 20 concepts: seconds and memory from merge
inputs in memory and from files, against the published algorithm taken literally
(`benchmarks.merging.literal`), in one run. The numbers merged are random; what a merge keeps is
measured by `benchmarks/merging/quality.py`.
"""

# ruff: noqa: E402 - the checkout comes first on sys.path

import sys
from pathlib import Path

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from rayjobs.cli.quiet_start import silence

silence()

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.common.figures import save_figures
from benchmarks.common.machine import describe_machine
from benchmarks.merging.case import SHAPES, draw_merge_inputs, make_statistics
from benchmarks.merging.pace import (
    draw_update,
    literal_seconds,
    merge_files,
    pace,
    peak_bytes,
    save_merge_inputs,
)
from cdcore.command_line.parser import parse, run_command
from cdcore.concepts.merge_inputs import MergeInputs
from cdcore.errors import ConfigError
from cdcore.merging.caption_statistics import CaptionStatistics
from cdcore.merging.merge import Merge, merge
from cdcore.merging.settings import MergeMethod
from cdcore.model.update import DenseUpdate, Update

ShapeName = Literal["sd1", "sd2", "sdxl"]
_METHODS: tuple[MergeMethod, ...] = ("constrained", "ridge")
_MOST_DENSE = 3
"""Concepts whose files are dense; more are compressed, so that a disk holds them."""
_MILLISECONDS, _MEGABYTE = 1e3, 1e6


@dataclass(frozen=True, kw_only=True, slots=True)
class MergingBenchmark:
    """What to measure, and where to write it."""

    shapes: tuple[ShapeName, ...] = ("sd1", "sd2", "sdxl")
    """Shapes of the K/V stack."""
    concepts: tuple[int, ...] = (1, 2, 3, 5, 10, 20)
    """How many are merged."""
    repeats: int = 15
    """Repeats of each merge; the median and the least are given."""
    quick: bool = False
    """Stable Diffusion 1 with one and two concepts, three repeats."""
    threads: int | None = None
    """Threads of torch, for both; default torch's own choice."""
    json: Path | None = None
    """Write the figures to this file."""

    def __post_init__(self) -> None:
        """Refuse what cannot be measured."""
        if not self.shapes or not self.concepts or min(self.concepts) < 1:
            raise ConfigError("--shapes and --concepts need at least one each, of 1 or more")
        if self.repeats < 1 or (self.threads is not None and self.threads < 1):
            raise ConfigError("--repeats and --threads need 1 or more")


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """The cost of merging so many concepts.

    Attributes:
        shape: Name of the shape.
        concepts: How many.
        method: The method of the merge.
        least_seconds: The least time from merge inputs in memory.
        median_seconds: The median time from merge inputs in memory.
        peak_bytes: Memory on top of the merge inputs.
        file_seconds: Median from files to a file.
        file_bytes: Size of the result.
        literal_seconds: The time of the published algorithm, from dense matrices in memory.
        literal_is_whole: Whether it ran on every matrix, not on one of each width.
    """

    shape: str
    concepts: int
    method: str
    least_seconds: float
    median_seconds: float
    peak_bytes: int
    file_seconds: float
    file_bytes: int
    literal_seconds: float
    literal_is_whole: bool

    @property
    def speed_up(self) -> float:
        """How many times faster than the literal algorithm."""
        return self.literal_seconds / self.median_seconds


def measure(job: MergingBenchmark, console: Console) -> list[Cost]:
    """Measure all that is asked for, showing each line as it is known."""
    shapes, counts, repeats = job.shapes, job.concepts, job.repeats
    if job.quick:
        shapes, counts, repeats = ("sd1",), (1, 2), 3
    costs = []
    for name in shapes:
        shape = SHAPES[name]
        statistics = make_statistics(shape.text_width)
        updates = [draw_update(shape, seed) for seed in range(max(counts))]
        all_inputs = draw_merge_inputs(updates)
        for count in counts:
            # Once in full, for the figure that everything is compared with.
            whole = name == "sd1" and count == 2
            literal = literal_seconds(shape, updates[:count], all_inputs[:count], whole=whole)
            for method in _METHODS:
                cost = _cost(name, all_inputs[:count], updates[:count], statistics, method, repeats)
                costs.append(Cost(**cost, literal_seconds=literal, literal_is_whole=whole))
                console.print(_line(costs[-1]))
    return costs


def _cost(
    name: ShapeName,
    all_inputs: Sequence[MergeInputs],
    updates: Sequence[Update],
    statistics: CaptionStatistics,
    method: MergeMethod,
    repeats: int,
) -> dict[str, Any]:
    def merge_inputs(given: Sequence[MergeInputs]) -> Merge:
        return merge(given, statistics, method=method, name="merged", allow_ill_posed=True)

    least, middle = pace(lambda: merge_inputs(all_inputs), repeats)
    dense = len(all_inputs) <= _MOST_DENSE and name != "sdxl"
    with tempfile.TemporaryDirectory() as folder:
        stored = [DenseUpdate(update.dense()) if dense else update for update in updates]
        paths = save_merge_inputs(Path(folder), all_inputs, stored)
        output = Path(folder) / "merged.safetensors"
        _, from_files = pace(lambda: merge_files(paths, output, merge_inputs), max(repeats // 3, 1))
        size = output.stat().st_size
    return {
        "shape": name,
        "concepts": len(all_inputs),
        "method": method,
        "least_seconds": least,
        "median_seconds": middle,
        "peak_bytes": peak_bytes(lambda: merge_inputs(all_inputs)),
        "file_seconds": from_files,
        "file_bytes": size,
    }


def _line(cost: Cost) -> str:
    return (
        f"{cost.shape:5} {cost.concepts:3} {cost.method:12}"
        f"{cost.median_seconds * _MILLISECONDS:9.1f} ms{cost.literal_seconds:9.2f} s literal"
    )


def table(costs: Sequence[Cost]) -> Table:
    """Return the figures as a table."""
    made = Table(title="Merging from merge inputs in memory, and from files", title_justify="left")
    made.add_column("shape")
    for name in ("n", "method", "ms", "literal, s", "faster", "peak MB", "files ms", "MB"):
        made.add_column(name, justify="left" if name == "method" else "right")
    for cost in costs:
        made.add_row(
            cost.shape,
            str(cost.concepts),
            cost.method,
            f"{cost.median_seconds * _MILLISECONDS:.1f}",
            f"{cost.literal_seconds:.2f}" + ("" if cost.literal_is_whole else "*"),
            f"{cost.speed_up:.0f} x",
            f"{cost.peak_bytes / _MEGABYTE:.1f}",
            f"{cost.file_seconds * _MILLISECONDS:.0f}",
            f"{cost.file_bytes / _MEGABYTE:.2f}",
        )
    return made


def main() -> None:
    """Measure, write and show.

    Raises:
        ConfigError: A setting is impossible.
        OSError: A file cannot be written.
    """
    job = parse(
        MergingBenchmark,
        prog="cost.py",
        description="Measure what a merge costs, against the published algorithm taken literally.",
    )
    console = Console(highlight=False, markup=False, emoji=False)
    if job.threads is not None:
        torch.set_num_threads(job.threads)
    machine = describe_machine("cpu")
    costs = measure(job, console)
    console.print(table(costs))
    console.print("* one matrix of each width, times their number")
    console.print(f"{machine['processor']}, {machine['threads']} threads, {machine['date']}")
    figures = {"machine": machine, "costs": [asdict(cost) for cost in costs]}
    save_figures(job.json, figures, console)


if __name__ == "__main__":
    run_command(main)
