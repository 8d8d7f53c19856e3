"""The configuration of a sweep as a user writes it: that of a training job, and what varies."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from cdcore.errors import ConfigError
from rayjobs.config.training import FIELD_GROUPS as TRAIN_GROUPS
from rayjobs.config.training import TrainJob
from tune.plan.goal import Goal
from tune.plan.search_space import Dimension, grid_size, parse_space

__all__ = ["FIELD_GROUPS", "Method", "SweepJob"]

Method = Literal["random", "grid", "optuna", "optuna-pareto"]

FIELD_GROUPS = {
    "search": ("search", "method", "trials", "search_seed", "concurrent"),
    "goal": ("text_floor", "drift_ceiling"),
    "scoring": ("early_stopping", "keep", "score_every", "score_prompts", "score_seeds"),
    **TRAIN_GROUPS,
}
"""Where each optional field stands in the help."""

_DEFAULT_TRIALS = 16
_PROMPTS = 6
"""Of `cdcore.scoring.before_after`, which takes seconds to import."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepJob(TrainJob):
    """What a user may set; the fields of a training job are those that do not vary.

    Raises:
        ConfigError: A setting is impossible, or the search space cannot be read.
    """

    search: tuple[str, ...] = ()
    """What varies: FIELD=A,B,C or FIELD=LOW..HIGH or FIELD=log:LOW..HIGH, and LOW..HIGH/N for N
    values of a range; FIELD is any of the training settings."""
    method: Method = "random"
    """How points are chosen: at random, all of a grid, by Optuna for the goal, or by Optuna for
    the whole Pareto front."""
    trials: int | None = None
    """Training runs; default 16, and all points of a grid."""
    search_seed: int = 0
    """Of the choice of points; seed is that of training."""
    concurrent: int | None = None
    """Trials at a time; default as many as fit, on CPUs at most 4."""

    text_floor: float = 0.9
    """Share of the base's text alignment that a concept must keep."""
    drift_ceiling: float = 0.2
    """Largest prior drift of a concept; 0 is none."""

    early_stopping: bool = True
    """Stop trials on the way whose goal is behind that of others (ASHA)."""
    keep: int = 2
    """Of early stopping: one in so many goes on at each rung."""
    score_every: int | None = None
    """Steps between scores on the way; default a quarter of the steps."""
    score_prompts: int = _PROMPTS
    """Prompts of a score on the way; the end is scored on all."""
    score_seeds: int = 1
    """Pictures of each prompt of a score on the way; the end is scored on all sample_seeds."""

    def __post_init__(self) -> None:
        """Refuse what no base could make sense of."""
        # With slots the class is made twice, and super() without arguments finds the first.
        TrainJob.__post_init__(self)
        space = self.space
        _ = self.goal
        if self.method == "grid" and self.trials not in (None, grid_size(space)):
            raise ConfigError(
                f"trials is {self.trials}, but the grid has {grid_size(space)} points; leave it "
                "out, or choose another method"
            )
        for name, least, most in (
            ("trials", 1, None),
            ("search_seed", 0, 2**32 - 1),
            ("concurrent", 1, None),
            ("keep", 2, None),
            ("score_every", 1, None),
            ("score_prompts", 1, _PROMPTS),
            ("score_seeds", 1, len(self.sample_seeds)),
        ):
            value = getattr(self, name)
            if value is not None and not least <= value <= (most or value):
                upto = f"from {least} to {most}" if most else f"{least} or more"
                raise ConfigError(f"{name} is {value}, expected {upto}")
        if self.export is not None:
            raise ConfigError(
                "export is set, but a sweep writes concept files alone; convert its best with "
                "rayjobs/convert.py"
            )

    @property
    def space(self) -> tuple[Dimension, ...]:
        """What varies."""
        return parse_space(self.search)

    @property
    def goal(self) -> Goal:
        """What makes one trial better than another."""
        return Goal(text_floor=self.text_floor, drift_ceiling=self.drift_ceiling)

    @property
    def trial_count(self) -> int:
        """Training runs of the sweep."""
        if self.method == "grid":
            return grid_size(self.space)
        return _DEFAULT_TRIALS if self.trials is None else self.trials

    @property
    def training(self) -> TrainJob:
        """The training job without what varies."""
        return TrainJob(**{field.name: getattr(self, field.name) for field in fields(TrainJob)})

    @property
    def folder(self) -> Path:
        """The sweep's folder, as the user gave it."""
        return self.output / f"{self.name}-sweep"
