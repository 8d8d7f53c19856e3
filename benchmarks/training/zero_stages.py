"""The training job itself under each ZeRO stage: that it runs, and to the same concept."""

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from benchmarks.common.random_bases import save_random_base
from benchmarks.recipes.case import random_pictures
from cdcore.concepts.storage import load_concept
from cdcore.errors import RunError

__all__ = ["run_stages"]

_SCRIPT = Path(__file__).resolve().parents[2] / "rayjobs" / "train.py"
_PICTURES = 4
_PICTURE_PX = 96
_SHOWN = 300


def run_stages(
    shape: Literal["tiny", "sd1"], stages: Sequence[int], *, steps: int, workers: int
) -> dict[str, Any]:
    """Run ``rayjobs/train.py`` on a random base under each stage.

    Args:
        shape: The shape of the base.
        stages: DeepSpeed ZeRO stages.
        steps: The steps of each run.
        workers: Training processes, one per GPU where there are any.

    Returns:
        The seconds of each job, start and end included, and the largest difference of a stage's
        update from the first stage's, relative to the largest entry.

    Raises:
        RunError: A job has failed.
    """
    seconds, updates = {}, []
    with TemporaryDirectory() as name:
        folder = Path(name)
        save_random_base(shape, folder / "base")
        _write_pictures(folder / "images")
        for stage in stages:
            started = time.perf_counter()
            _run(_command(folder, stage, steps, workers))
            seconds[str(stage)] = time.perf_counter() - started
            run = folder / "runs" / f"zero-{stage}"
            updates.append(load_concept(run / f"zero-{stage}.safetensors").update.dense())
    scale = updates[0].abs().max()
    apart = [float((update - updates[0]).abs().max() / scale) for update in updates]
    return {"shape": shape, "steps": steps, "workers": workers, "seconds": seconds} | {
        "largest_difference": max(apart)
    }


def _command(folder: Path, stage: int, steps: int, workers: int) -> list[str]:
    options = {
        "images": folder / "images",
        "class-noun": "cat",
        "name": f"zero-{stage}",
        # The same words for all, though each run has its own name.
        "modifier-token": "<mycat>",
        "base": folder / "base",
        "steps": steps,
        "variants": 2,
        "regularization-images": 4,
        "sample-seeds": 0,
        "workers": workers,
        "zero-stage": stage,
        "output": folder / "runs",
        "cache": folder / "cache",
    }
    flags = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    return [sys.executable, str(_SCRIPT), *flags]


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["it said nothing"]
        raise RunError(f"rayjobs/train.py failed: {lines[-1][:_SHOWN]}")


def _write_pictures(folder: Path) -> None:
    folder.mkdir()
    for picture in random_pictures(_PICTURES, _PICTURE_PX):
        picture.image.save(folder / picture.path)
