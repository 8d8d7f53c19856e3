"""A training job small enough for a test: a few pictures, a tiny base, a few steps."""

from pathlib import Path
from typing import Any

import torch

from cdcore.grid import to_image
from rayjobs.train_job import TrainJob


def write_pictures(folder: Path, count: int = 3) -> Path:
    """Write pictures of different sizes, as people have them."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        generator = torch.Generator().manual_seed(number)
        pixels = torch.rand(3, 64 + 8 * number, 72, generator=generator) * 2 - 1
        to_image(pixels).save(folder / f"{number}.png")
    return folder


def job(folder: Path, base: Path | str, **changes: Any) -> TrainJob:
    """A job whose pictures, runs and cache are in ``folder``."""
    settings: dict[str, Any] = {
        "images": folder / "images",
        "class_noun": "cat",
        "name": "mycat",
        "base": str(base),
        "steps": 4,
        "rows_per_step": 5,
        "variants": 2,
        "regularization_images": 2,
        "sample_seeds": (0,),
        "output": folder / "runs",
        "cache": folder / "cache",
    }
    return TrainJob(**settings | changes)


def flags(made: TrainJob) -> list[str]:
    """The command line of a job, without the settings that are not set."""
    line = []
    for name in made.__slots__:
        value = getattr(made, name)
        if value is None or isinstance(value, bool):
            continue
        values = value if isinstance(value, tuple) else (value,)
        line += [f"--{name.replace('_', '-')}", *map(str, values)]
    return line
