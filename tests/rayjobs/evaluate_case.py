"""An evaluation small enough for a test: a set of the pocket world, a tiny base, a few pictures."""

from pathlib import Path
from typing import Any

from cdcore.evaluation.pocket_dataset import PocketSet
from rayjobs.config.evaluation import EvaluateJob

SET = PocketSet(per_kind=1, pictures=2, real=3)


def job(folder: Path, base: Path | str, **changes: Any) -> EvaluateJob:
    """A job whose set, results and cache are in ``folder``: two concepts and one pair of them."""
    if not (folder / "set" / "dataset.json").is_file():
        SET.write(folder / "set")
    settings: dict[str, Any] = {
        "dataset": folder / "set",
        "base": str(base),
        "limit": 2,
        "prompts": 2,
        "pictures": 2,
        "kid_pictures": 3,
        "steps": 1,
        "train_steps": 1,
        "regularization_images": 0,
        "output": folder / "out",
        "cache": folder / "cache",
    }
    return EvaluateJob(**settings | changes)
