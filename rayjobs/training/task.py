"""What the driver ships to every training worker."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cdcore.formats.exports.tool_names import ToolName
from cdcore.pictures.picture_folder import Picture
from cdcore.training.captioned_pictures import CaptionedPicture
from cdcore.training.config import TrainingConfig
from rayjobs.config.training import TrainingPrecision
from rayjobs.runs.run_directory import RunDirectory

if TYPE_CHECKING:
    import torch

    from cdcore.model.base import Base

__all__ = ["ScorePlan", "TrainTask"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ScorePlan:
    """When a run is scored on the way, and on what.

    Attributes:
        every: Steps between scores, at least 1; the end is always scored, on everything.
        prompts: How many of `PROMPTS` are sampled on the way, from the first on.
        seeds: How many of the run's sample seeds, from the first on.
        base_pictures: File of `cdcore.scoring.base_pictures` for these seeds; None samples them
            here.
        awaits_verdict: Whether a run waits after each score on the way until it may go on.
    """

    every: int
    prompts: int
    seeds: int
    base_pictures: Path | None = None
    awaits_verdict: bool = False

    def is_due(self, step: int, steps: int) -> bool:
        """Whether a run of ``steps`` steps is scored on the way after ``step`` of them."""
        return step % self.every == 0 and step < steps


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainTask:
    """What the driver ships to every worker.

    Attributes:
        config: Resolved.
        base: Name of the base.
        pictures: The decoded pictures of each subject; workers open no path of the user's.
        targets: The pictures that the result is scored against, of each subject.
        run: Absolute, on storage that every node shares.
        cache: Absolute root of the caches, on each node.
        zero_stage: 0, 1 or 2.
        checkpoint_every: Steps between checkpoints.
        sample_seeds: Seeds of the before/after pictures.
        identity: The digest of the run; checkpoints of another are none of its own.
        session: The name of this start of the run, empty before it; a later one takes the run over.
        regularization: The regularization pictures of each subject, decoded as well; an empty list
            where the base generates them.
        exports: Tools to write files for.
        label: What monitoring calls the run; the name of the concept unless it is set.
        vae: The autoencoder in place of the base's own; None is its own.
        resolution: Side of the pictures; None is the base's own.
        precision: What the U-Net computes in.
        scoring: When the run is scored on the way, and Ray told of it; None is never.
    """

    config: TrainingConfig
    base: str
    pictures: Sequence[Sequence[Picture]]
    targets: Sequence[Sequence[Picture]]
    run: RunDirectory
    cache: Path
    zero_stage: int
    checkpoint_every: int
    sample_seeds: tuple[int, ...]
    identity: str
    regularization: Sequence[Sequence[CaptionedPicture]] = ()
    exports: tuple[ToolName, ...] = ()
    session: str = ""
    label: str = ""
    scoring: ScorePlan | None = None
    vae: str | None = None
    resolution: int | None = None
    precision: TrainingPrecision = "auto"

    def load_base(self, device: "torch.device | str") -> "Base":
        """Load the base as it is used here.

        Raises:
            BaseModelError: There is no such base or autoencoder.
        """
        # It takes seconds to import, and the driver ships tasks that it has checked.
        from cdcore.model.device import compute_dtype
        from cdcore.model.loading import load_base

        dtype = compute_dtype(device, self.precision)
        return load_base(self.base, device=device, dtype=dtype, vae=self.vae).at(self.resolution)
