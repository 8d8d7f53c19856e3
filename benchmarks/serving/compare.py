"""The serving engine against two other ways to serve: ``python benchmarks/serving/compare.py``.

One run, one machine, the same base, concepts, orders and threads. The others are a diffusers
pipeline that swaps weights for each request, and batches of requests for the same concepts
(`benchmarks.serving.systems`). Every system runs in this process, without HTTP.
"""

# ruff: noqa: E402 - the checkout comes first on sys.path

import sys
from pathlib import Path

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from rayjobs.cli.quiet_start import silence

silence()

import time
from contextlib import ExitStack
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import Any

import torch
from rich.console import Console
from transformers.utils import logging as transformers_logging

from benchmarks.common.figures import save_figures
from benchmarks.common.machine import describe_machine
from benchmarks.serving.load import METHOD, make_arrivals
from benchmarks.serving.measures import (
    batch_ratio,
    cold_merge,
    latencies,
    mean_service_s,
    throughput,
)
from benchmarks.serving.report import plot, show
from benchmarks.serving.shelf import Shelf, base_folder_of
from benchmarks.serving.system import System
from benchmarks.serving.systems import EngineSystem, GroupSystem, SwapSystem
from cdcore.command_line.parser import parse, run_command
from cdcore.errors import ConfigError
from cdcore.model.device import DeviceName, chosen_device, compute_dtype
from cdcore.model.loading import load_base
from serve.engine.config import EngineConfig
from serve.engine.engine import Engine

_QUICK = {"live": (1, 10), "orders": 4, "rounds": 1, "calibration": 2, "ticks": 2, "pairs": 1}


@dataclass(frozen=True, kw_only=True, slots=True)
class ServingBenchmark:
    """What to measure, on what, and where to write it."""

    base: str = "pocket"
    """The base: pocket, the folder of another one, or its shape with random weights: random-pocket,
    random-sd1, random-tiny."""
    json: Path | None = None
    """Write the figures to this file."""
    plot: Path | None = None
    """Draw latency against live concepts into this PNG."""
    quick: bool = False
    """A few orders of everything: shows that it runs, its figures mean nothing."""
    live: tuple[int, ...] = (1, 10, 100, 1000)
    """Numbers of live concepts."""
    orders: int = 100
    """Orders of one run."""
    rounds: int = 3
    """Runs of each system and number of concepts; their median counts."""
    slots: int = 8
    """Pictures in one batch."""
    load: float = 0.8
    """Orders per second, as a share of what the swapping pipeline can do."""
    calibration: int = 20
    """Orders that tell what the swapping pipeline can do."""
    ticks: int = 30
    """Ticks of a mixed batch, and of one of the same concept."""
    pairs: int = 10
    """Merges to time."""
    threads: int | None = None
    """Threads of torch, for all systems; default torch's own choice."""
    device: DeviceName = "auto"
    """Where to compute."""

    def __post_init__(self) -> None:
        """Refuse what cannot be measured."""
        for name in ("orders", "rounds", "slots", "calibration", "ticks", "pairs"):
            if getattr(self, name) < 1:
                raise ConfigError(f"--{name} is {getattr(self, name)}, expected 1 or more")
        if not self.live or min(self.live) < 1:
            raise ConfigError(f"--live is {self.live}, expected numbers of 1 or more")
        if not self.load > 0:
            raise ConfigError(f"--load is {self.load}, expected a share above 0")


def main() -> None:
    """Measure, write and show.

    Raises:
        CustomDiffusionError: A setting is impossible, or the base is missing.
        OSError: A file cannot be written.
    """
    job = parse(
        ServingBenchmark,
        prog="compare.py",
        description="Measure the serving engine against swapping weights and grouping by concept.",
    )
    console = Console(highlight=False, markup=False, emoji=False)
    if job.threads is not None:
        torch.set_num_threads(job.threads)
    started = time.perf_counter()
    figures = measure(job, console)
    figures["seconds"] = round(time.perf_counter() - started, 1)
    show(figures, console)
    save_figures(job.json, figures, console)
    if job.plot is not None:
        plot(figures, job.plot)
        console.print(str(job.plot), soft_wrap=True)


def measure(job: ServingBenchmark, console: Console) -> dict[str, Any]:
    """Measure everything and return the figures, ready for JSON."""
    extent = {name: getattr(job, name) for name in _QUICK} | (_QUICK if job.quick else {})
    device = chosen_device(job.device)
    with TemporaryDirectory() as name, ExitStack() as stack:
        work = Path(name)
        transformers_logging.disable_progress_bar()
        folder = base_folder_of(job.base, work / "base")
        base = load_base(str(folder), device=device, dtype=compute_dtype(device))
        # Loading a base turns the bars on again.
        transformers_logging.disable_progress_bar()
        shelf = Shelf(base, work / "concepts")
        merge = shelf.merger(base)
        engine = Engine(base, shelf, work / "cache", EngineConfig(slots=job.slots), merge=merge)
        engine.start()
        systems: dict[str, System] = {"engine": stack.enter_context(EngineSystem(engine))}
        engine.wait_ready()
        systems["swap"] = stack.enter_context(SwapSystem(folder, base, shelf, merge))
        systems["group"] = stack.enter_context(GroupSystem(base, shelf, merge, job.slots))
        console.print("how many orders the swapping pipeline can do")
        first = make_arrivals(shelf, max(extent["live"]), extent["calibration"], rate=None, seed=99)
        for system in systems.values():
            mean_service_s(system, first[:2])
        service_s = mean_service_s(systems["swap"], first)
        rate = job.load / service_s
        figures: dict[str, Any] = {
            "machine": describe_machine(device),
            "base": job.base,
            "quick": job.quick,
            "slots": job.slots,
            "load": job.load,
            "rate": rate,
            "swap_service_s": service_s,
            "merge_method": METHOD,
        }
        both = {"arrivals": extent["orders"], "rounds": extent["rounds"]}
        console.print("pictures per second")
        figures["throughput"] = throughput(systems, shelf, extent["live"], **both)
        console.print("seconds from arrival to picture")
        figures["latency"] = latencies(systems, shelf, extent["live"], rate=rate, **both)
        console.print("merges and mixed batches")
        figures["merge"] = cold_merge(EngineSystem(engine), shelf, pairs=extent["pairs"])
        figures["batch"] = batch_ratio(base, shelf, job.slots, ticks=extent["ticks"])
    return figures


if __name__ == "__main__":
    run_command(main)
