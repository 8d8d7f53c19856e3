"""A training job small enough for a test: a few pictures, a tiny base, a few steps."""

from pathlib import Path
from typing import Any

import torch
from PIL import Image

from cdcore.model.base import Base
from cdcore.pictures.picture_folder import Picture, read_pictures
from cdcore.pictures.pixels import to_image
from rayjobs.config.concept_source import ConceptSource
from rayjobs.config.training import TrainJob, resolve
from rayjobs.runs.run_directory import RunDirectory
from rayjobs.training.identity import identity
from rayjobs.training.task import TrainTask
from tests.cdcore.training_case import config

CONCEPTS = (
    ConceptSource(images=Path("mycat"), class_noun="cat"),
    ConceptSource(images=Path("seat"), class_noun=" chair ", initializer_token="table"),
)
"""Two concepts of a joint job, neither with pictures."""


def write_pictures(folder: Path, count: int = 3) -> Path:
    """Write pictures of different sizes, as people have them."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        generator = torch.Generator().manual_seed(number)
        pixels = torch.rand(3, 64 + 8 * number, 72, generator=generator) * 2 - 1
        to_image(pixels).save(folder / f"{number}.png")
    return folder


def write_captioned(folder: Path, count: int = 3) -> Path:
    """Write pictures of a class with a list of captions."""
    write_pictures(folder, count)
    (folder / "caption.txt").write_text("".join(f"a cat, number {n}\n" for n in range(count)))
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
        "regularization_ratio": 1.0,
        "variants": 2,
        "regularization_images": 2,
        "sample_seeds": (0,),
        "output": folder / "runs",
        "cache": folder / "cache",
    }
    return TrainJob(**settings | changes)


def pictures(*colours: str) -> list[Picture]:
    """Small pictures of one colour each."""
    return [
        Picture.from_image(Image.new("RGB", (8, 8), colour), Path(f"{number}.png"))
        for number, colour in enumerate(colours)
    ]


def described(made: TrainJob, base: Base, *colours: str) -> dict[str, Any]:
    """The identity of a job each of whose subjects has pictures of these colours."""
    config = resolve(made, base)
    shown = [pictures(*colours or ("red",)) for _ in config.subjects]
    return identity(made, config, base, shown)


def train_task(folder: Path, **changes: Any) -> TrainTask:
    """What workers of a small run are told; its pictures and cache are in ``folder``."""
    given = read_pictures(write_pictures(folder / "images"))
    settings: dict[str, Any] = {
        "config": config(),
        "base": "tiny",
        "pictures": [given],
        "targets": [given],
        "run": RunDirectory(folder / "mycat"),
        "cache": folder / "cache",
        "zero_stage": 0,
        "checkpoint_every": 3,
        "sample_seeds": (3,),
        "identity": "abc",
        "session": "now",
    }
    return TrainTask(**settings | changes)


def flags(made: Any) -> list[str]:
    """The command line of a job, without the settings that are not set."""
    line = []
    for name in made.__slots__:
        value = getattr(made, name)
        if value is None or isinstance(value, bool):
            continue
        values = value if isinstance(value, tuple) else (value,)
        line += [f"--{name.replace('_', '-')}", *map(str, values)]
    return line
