"""Training on a GPU, at the shape of Stable Diffusion 1: ``make bench-gpu``, under ten minutes.

Random weights, 512 x 512, 8 rows, bfloat16. Nothing is downloaded: what a step costs does not
depend on the values. The same code runs on a CPU at a tiny shape, which is how it is tested.
"""

# ruff: noqa: E402 - the checkout comes first on sys.path

import sys
from pathlib import Path

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from rayjobs.cli.quiet_start import silence

silence()

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from tempfile import TemporaryDirectory
from typing import Any, Literal

import torch
from rich.console import Console

from benchmarks.common.figures import save_figures
from benchmarks.common.machine import describe_machine
from benchmarks.common.random_bases import random_base
from benchmarks.common.timing import synchronized
from benchmarks.recipes.case import random_data, random_pictures, training_config
from benchmarks.recipes.ours import EngineName, OurRecipe
from benchmarks.recipes.recipe import Recipe
from benchmarks.recipes.stock import StockRecipe
from benchmarks.training.flops import our_step, stock_step
from benchmarks.training.parity import measure_parity
from benchmarks.training.zero_stages import run_stages
from cdcore.command_line.parser import parse, run_command
from cdcore.errors import ConfigError
from cdcore.model.base import Base
from cdcore.model.device import DeviceName, chosen_device
from rayjobs.training.dry_run import measured_rate

PartName = Literal["ceiling", "training", "parity", "job"]
VariantName = Literal["eager", "compiled", "channels-last"]

_WARM_UP_STEPS = 5
_STOCK_PICTURES = 4
_CEILING_SIDES = {"cuda": (4096, 8192, 16_384), "cpu": (512, 1024)}
"""Rows of the square matrices, of which the fastest product is the ceiling."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GPUBenchmark:
    """What to measure, and where to write it."""

    shape: Literal["tiny", "sd1"] = "sd1"
    """Shape of the base."""
    json: Path | None = None
    """Write the figures to this file."""
    quick: bool = False
    """A few steps of everything: shows that it runs, its figures mean nothing."""
    parts: tuple[PartName, ...] = ("ceiling", "training", "parity", "job")
    """What to measure."""
    variants: tuple[VariantName, ...] = ("eager", "compiled")
    """Variants of this trainer's U-Net; channels-last is compiled, with the other memory format."""
    backend: str = "inductor"
    """Backend of torch's compiler."""
    steps: int = 250
    """Timed steps of this trainer."""
    stock_steps: int = 30
    """Timed steps of the stock recipe."""
    engine: EngineName = "deepspeed"
    """What drives this trainer's optimiser."""
    zero_stages: tuple[Literal[0, 1, 2], ...] = (0, 1, 2)
    """ZeRO stages of the training job."""
    job_shape: Literal["tiny", "sd1"] = "tiny"
    """Shape of the training job's base."""
    device: DeviceName = "cuda"
    """Where to compute."""

    def __post_init__(self) -> None:
        """Refuse what cannot be measured."""
        for name in ("steps", "stock_steps"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected 1 or more")
        if not self.parts:
            raise ConfigError("--parts needs at least one")


def main() -> None:
    """Measure, show and write.

    Raises:
        ConfigError: A setting is impossible, or there is no such device.
        OSError: A file cannot be written.
    """
    job = parse(
        GPUBenchmark,
        prog="gpu.py",
        description="Measure training at the shape of Stable Diffusion 1 with random weights.",
    )
    console = Console(highlight=False, markup=False, emoji=False)
    started = time.perf_counter()
    figures = measure(job, console)
    figures["seconds"] = round(time.perf_counter() - started, 1)
    console.print_json(json.dumps(figures))
    save_figures(job.json, figures, console)


def measure(job: GPUBenchmark, console: Console) -> dict[str, Any]:
    """Measure all parts and return their figures, ready for JSON."""
    device = torch.device(chosen_device(job.device))
    figures: dict[str, Any] = {
        "machine": describe_machine(str(device)),
        "shape": job.shape,
        "quick": job.quick,
        "engine": job.engine,
    }
    measured: dict[PartName, Callable[[], Any]] = {
        "ceiling": lambda: {"flops_per_second": _ceiling(device)},
        "training": lambda: _training(job, device, console),
        "parity": lambda: asdict(measure_parity(job.shape, device, rows=2 if job.quick else 4)),
        "job": lambda: _job(job, device),
    }
    for name, part in measured.items():
        if name in job.parts:
            console.print(f"measuring: {name}")
            figures[name] = part()
    if "ceiling" in figures and "training" in figures:
        ceiling = figures["ceiling"]["flops_per_second"]
        for one in figures["training"].values():
            one["share_of_ceiling"] = one["flops_per_second"] / ceiling
    return figures


def _ceiling(device: torch.device) -> float:
    """Return the most FLOP/s that the device gets out of one product of matrices.

    It is that of bfloat16, or of float32 where a CPU emulates bfloat16 more slowly.
    """
    return max(
        measured_rate(device, dtype, side)
        for dtype in (torch.bfloat16, torch.float32)
        for side in _CEILING_SIDES[device.type]
    )


def _training(job: GPUBenchmark, device: torch.device, console: Console) -> dict[str, Any]:
    steps = {"ours": 4, "stock": 2} if job.quick else {"ours": job.steps, "stock": job.stock_steps}
    figures = {}
    with TemporaryDirectory() as folder:
        for variant in job.variants:
            console.print(f"this trainer, {variant}")
            base = _base(job, device, variant)
            data = random_data(base, Path(folder))
            recipe = OurRecipe(base, training_config(base), data, job.engine)
            flops = our_step(job.shape).flops
            figures[f"ours, {variant}"] = _timed(recipe, device, steps["ours"], flops)
            del base, recipe
        console.print("the stock recipe")
        base = _base(job, device, "eager")
        shown = random_pictures(_STOCK_PICTURES, base.profile.resolution)
        stock = StockRecipe(base, training_config(base), shown, shown)
        figures["stock"] = _timed(stock, device, steps["stock"], stock_step(job.shape).flops)
    per_step = figures["stock"]["seconds_per_step"]
    for one in figures.values():
        one["ratio_to_stock"] = per_step / one["seconds_per_step"]
    return figures


def _base(job: GPUBenchmark, device: torch.device, variant: VariantName) -> Base:
    base = random_base(job.shape, device=device, dtype=torch.bfloat16)
    if variant == "channels-last":
        # The overloads that torch declares lack this one.
        base.seam.unet.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if variant != "eager":
        base.seam.unet.compile(backend=job.backend)
    return base


def _timed(recipe: Recipe, device: torch.device, steps: int, flops: int) -> dict[str, float]:
    """Time a recipe: compiling and warming up first, and apart.

    Args:
        recipe: A recipe at its start.
        device: The device of the recipe.
        steps: How many steps to time.
        flops: The FLOPs of a step, as counted.
    """
    is_gpu = device.type == "cuda"
    if is_gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    warm_up = synchronized(device, lambda: recipe.advance(_WARM_UP_STEPS))
    seconds = synchronized(device, lambda: recipe.advance(steps))
    figures = {
        "compile_and_warm_up_seconds": warm_up,
        "steps": steps,
        "seconds": seconds,
        "seconds_per_step": seconds / steps,
        "flops_per_second": flops * steps / seconds,
    }
    if is_gpu:
        figures["peak_memory_bytes"] = torch.cuda.max_memory_allocated(device)
    return figures


def _job(job: GPUBenchmark, device: torch.device) -> dict[str, Any]:
    workers = torch.cuda.device_count() if device.type == "cuda" else 1
    return run_stages(job.job_shape, job.zero_stages, steps=4 if job.quick else 50, workers=workers)


if __name__ == "__main__":
    run_command(main)
