"""Time and memory of merges, and of the published algorithm taken literally.

Both get what they need in memory. The literal algorithm does the same work in every matrix of one
width, so where all of them would take minutes it is run on one matrix of each width and multiplied.
"""

import ctypes
import gc
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

from benchmarks.merging.case import FINGERPRINT, StackShape, draw_features
from benchmarks.merging.literal import literal_layer
from cdcore.concepts.concept import Concept
from cdcore.concepts.merge_inputs import MergeInputs
from cdcore.concepts.storage import load_merge_inputs, save_concept
from cdcore.merging.merge import Merge
from cdcore.model.update import DenseUpdate, FactoredUpdate, Update

__all__ = [
    "draw_update",
    "literal_seconds",
    "merge_files",
    "pace",
    "peak_bytes",
    "save_merge_inputs",
]

_CAPTION_ROWS = 2800
"""Rows of 200 captions of 14 words, as the published algorithm takes them."""
_RANK = 32
_KIBIBYTE = 1024
_RESET_PEAK = "5"
"""Written to ``/proc/self/clear_refs`` it makes the kernel forget the peak so far; see proc(5)."""


def draw_update(shape: StackShape, seed: int, *, dense: bool = False) -> Update:
    """Return an update of rank 32, factored or, with the same values, dense."""
    rows, width = shape.shape
    generator = torch.Generator().manual_seed(seed)
    left = 0.01 * torch.randn(rows, _RANK, generator=generator)
    right = torch.randn(_RANK, width, generator=generator)
    factored = FactoredUpdate(((left, right),))
    return DenseUpdate(factored.dense()) if dense else factored


def pace(run: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Return the least and the median seconds of ``run``, called once before to warm up."""
    run()
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - started)
    return min(seconds), median(seconds)


def peak_bytes(run: Callable[[], object]) -> int:
    """Return how much more memory the process holds at most while ``run`` works; Linux only."""
    gc.collect()
    # What has been freed goes back to the system, so that taking it again is counted.
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text(_RESET_PEAK)
    before = _status("VmRSS")
    run()
    return max(_status("VmHWM") - before, 0)


def literal_seconds(
    shape: StackShape, updates: Sequence[Update], all_inputs: Sequence[MergeInputs], *, whole: bool
) -> float:
    """Return the seconds that the literal algorithm takes for the whole stack.

    Args:
        shape: The shape of the stack.
        updates: The factored update of each concept.
        all_inputs: The merge inputs of each concept, for its targets.
        whole: Whether to run it on every matrix instead of one of each width.
    """
    captions = draw_features(_CAPTION_ROWS, shape.text_width, 77)
    targets = [inputs.constraint.features for inputs in all_inputs]
    seconds, start = 0.0, 0
    for width, layers in shape.layers.items():
        count = 2 * layers
        for number in range(count if whole else 1):
            rows = slice(start + number * width, start + (number + 1) * width)
            base = torch.randn(width, shape.text_width, generator=torch.Generator().manual_seed(0))
            tuned = [base + _part(update, rows) for update in updates]
            started = time.perf_counter()
            literal_layer(base, tuned, targets, captions)
            seconds += (time.perf_counter() - started) * (1 if whole else count)
        start += count * width
    return seconds


def save_merge_inputs(
    folder: Path, all_inputs: Sequence[MergeInputs], updates: Sequence[Update]
) -> list[Path]:
    """Write concept files as training or, for factored updates, compression does."""
    paths = []
    for inputs, update in zip(all_inputs, updates, strict=True):
        concept = Concept(
            name=inputs.name,
            update=update,
            tokens=inputs.tokens,
            subjects=inputs.subjects,
            base_name=inputs.base_name,
            base_fingerprint=FINGERPRINT,
        )
        paths.append(folder / f"{inputs.name}.safetensors")
        save_concept(concept, paths[-1], inputs)
    return paths


def merge_files(
    paths: Sequence[Path], output: Path, merge_inputs: Callable[[list[MergeInputs]], Merge]
) -> None:
    """Read merge inputs, merge them, and write the result."""
    made = merge_inputs([load_merge_inputs(path) for path in paths])
    save_concept(made.concept, output, made.inputs)


def _part(update: Update, rows: slice) -> Tensor:
    assert isinstance(update, FactoredUpdate)
    ((left, right),) = update.pairs
    return left[rows] @ right


def _status(name: str) -> int:
    """Return a line of the kernel's account of this process, bytes."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    (line,) = (line for line in lines if line.startswith(f"{name}:"))
    return int(line.split()[1]) * _KIBIBYTE
