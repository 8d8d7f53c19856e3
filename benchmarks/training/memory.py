"""Memory of a recipe, each in a process of its own: what one leaves behind is not counted."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from benchmarks.recipes.case import TrainingCase
from rayjobs.cli.quiet_start import silence

__all__ = ["Peak", "RecipeName", "measure_peak"]

RecipeName = Literal["ours", "stock"]

_KIBIBYTE = 1024
_RESET_PEAK = "5"
"""Written to ``/proc/self/clear_refs`` it makes the kernel forget the peak so far; see proc(5)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Peak:
    """Memory in bytes: on a GPU what torch's allocator holds there, else the process's.

    Attributes:
        before: Held before the first step: libraries, base, and what will be trained.
        peak: The most held while training.
    """

    before: int
    peak: int


@dataclass(frozen=True, kw_only=True, slots=True)
class _Task:
    case: TrainingCase
    recipe: RecipeName
    steps: int
    threads: int


def measure_peak(case: TrainingCase, recipe: RecipeName, *, steps: int) -> Peak:
    """Return the memory that training takes; what this project prepares is read from the cache.

    Args:
        case: A case that was prepared once before.
        recipe: The recipe to measure.
        steps: How many steps to train.
    """
    task = _Task(case=case, recipe=recipe, steps=steps, threads=torch.get_num_threads())
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context, initializer=silence) as pool:
        return pool.submit(_peak, task).result()


def _peak(task: _Task) -> Peak:
    torch.set_num_threads(task.threads)
    case = task.case
    base = case.load_base()
    recipe = case.our_recipe(base) if task.recipe == "ours" else case.stock_recipe(base)
    if base.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(base.device)
        before = torch.cuda.memory_allocated(base.device)
        recipe.advance(task.steps)
        return Peak(before=before, peak=torch.cuda.max_memory_allocated(base.device))
    Path("/proc/self/clear_refs").write_text(_RESET_PEAK)
    before = _status("VmRSS")
    recipe.advance(task.steps)
    return Peak(before=before, peak=_status("VmHWM"))


def _status(name: str) -> int:
    """Return a line of the kernel's account of this process, bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(f"{name}:"))
    return int(line.split()[1]) * _KIBIBYTE
