"""The configuration of pretraining as a user writes it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cdcore.errors import ConfigError
from cdcore.pocket.pretraining.stage_names import STAGES, StageName

__all__ = ["PretrainJob"]


@dataclass(frozen=True, kw_only=True, slots=True)
class PretrainJob:
    """What to pretrain, and where.

    Raises:
        ConfigError: A setting is impossible.
    """

    output: Path = Path("runs/pocket")
    """Folder of the base, which every worker must see; a base that is there is continued."""
    stages: tuple[StageName, ...] = STAGES
    """Stages to run, in this order."""
    seconds: float | None = None
    """Stop after so much training, to be continued; unset, all stages run to their end."""
    steps: int | None = None
    """Steps of each of these stages; unset, the stage's own."""
    pictures: int = 32_000
    """Pictures to draw and train on; the judge draws half as many of another world."""
    seed: int = 0
    """Of the world and of every draw."""
    workers: int = 1
    """Training processes, each with batches of its own; one for each GPU on a GPU cluster."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to compute; auto takes GPUs where the cluster has any."""
    cache: Path = Path("~/.cache/customdiffusion")
    """Folder of drawn pictures, kept for the next piece."""

    def __post_init__(self) -> None:
        """Refuse what no cluster can do."""
        if self.workers < 1:
            raise ConfigError(f"workers is {self.workers}, expected 1 or more")
