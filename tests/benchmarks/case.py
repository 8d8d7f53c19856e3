"""A case to train for tests: a few random pictures on a random base."""

from pathlib import Path
from typing import Any

import torch

from benchmarks.recipes.case import TrainingCase, load_training_base, training_config
from cdcore.pictures.picture_folder import read_pictures
from tests.rayjobs.train_case import write_pictures


def case(folder: Path, base: Path, **changes: Any) -> TrainingCase:
    """A case whose pictures and cache are in ``folder``."""
    settings: dict[str, Any] = {"steps": 4, "variants": 2, "regularization_images": 2}
    config = training_config(load_training_base(str(base), "cpu"), **settings | changes)
    return TrainingCase(
        base=str(base),
        config=config,
        pictures=read_pictures(write_pictures(folder / "images")),
        cache=folder / "cache",
        engine="local",
        device="cpu",
    )


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
