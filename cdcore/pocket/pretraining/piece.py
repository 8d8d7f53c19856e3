"""A piece of pretraining, and how far a base has come; light, for command lines that refuse one."""

import json
from dataclasses import dataclass
from pathlib import Path

from cdcore.pocket.pretraining.stage_names import STAGES, StageName

__all__ = ["PROGRESS_FILE", "Piece", "completed_steps"]

PROGRESS_FILE = "progress.json"
"""The file in a base's folder that counts the completed steps of each stage."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """One piece of pretraining.

    Attributes:
        folder: Where the base is read from and written to.
        work: Where rendered albums and latents are kept between pieces.
        stages: The stages to run, in this order.
        seconds: Stop after so many seconds of training; None runs every stage to its end.
        steps: Steps to plan for each stage instead of its default, by stage.
        pictures: Pictures in the training album.
        seed: Seed of the world and of every draw.
        device: Torch device.
    """

    folder: Path
    work: Path
    stages: tuple[StageName, ...] = STAGES
    seconds: float | None = None
    steps: dict[StageName, int] | None = None
    pictures: int = 32_000
    seed: int = 0
    device: str = "cpu"


def completed_steps(folder: Path) -> dict[str, int]:
    """Return the completed steps of each stage of the base in ``folder``; empty for a new one."""
    path = folder / PROGRESS_FILE
    return dict(json.loads(path.read_text())) if path.exists() else {}
