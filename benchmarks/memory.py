"""Peak memory of a recipe, each in a process of its own: what one leaves behind is not counted."""

import multiprocessing
import resource
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Literal

import torch

from benchmarks.training_case import TrainingCase
from rayjobs.quiet import silence

__all__ = ["RecipeName", "measure_peak"]

RecipeName = Literal["ours", "stock"]

_KIBIBYTE = 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class _Task:
    case: TrainingCase
    recipe: RecipeName
    steps: int
    threads: int


def measure_peak(case: TrainingCase, recipe: RecipeName, *, steps: int) -> int:
    """Return the most memory that training took, bytes.

    On a GPU it is what torch's allocator held there; else all that the process held, libraries and
    base included. What this project prepares is read from the cache.

    Args:
        case: Prepared once before.
        recipe: Which one.
        steps: To train.
    """
    task = _Task(case=case, recipe=recipe, steps=steps, threads=torch.get_num_threads())
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context, initializer=silence) as pool:
        return pool.submit(_peak, task).result()


def _peak(task: _Task) -> int:
    torch.set_num_threads(task.threads)
    case = task.case
    base = case.load_base()
    recipe = case.our_recipe(base) if task.recipe == "ours" else case.stock_recipe(base)
    if base.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(base.device)
        recipe.advance(task.steps)
        return torch.cuda.max_memory_allocated(base.device)
    recipe.advance(task.steps)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KIBIBYTE
