"""What all trials share, made once before the first of them: cached latents, the base's pictures.

Trials that start together would else make the same regularization pictures at the same time.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from cdcore.model.loading import load_local_base
from cdcore.scoring.base_pictures import save_base_pictures
from cdcore.training.config import TrainingConfig
from cdcore.training.preparation import prepare
from rayjobs.training.task import TrainTask
from rayjobs.training.validation import Validation
from tune.plan.search_space import Dimension

__all__ = ["distinct_data", "prepare_shared"]

_DATA_FIELDS = ("variants", "augment", "seed", "regularization_images")
"""Settings that decide what is cached."""
_MOST_KINDS = 16
"""A sweep over more kinds of data leaves the rest to its trials."""


def distinct_data(config: TrainingConfig, space: Sequence[Dimension]) -> list[TrainingConfig]:
    """Return configurations that need, between them, all data that trials will share.

    Args:
        config: The configuration of a trial, with the settings that do not vary.
        space: What varies; of a range only the ends are counted on.
    """
    varying = {dimension.field: dimension.extremes for dimension in space}
    # Regularization pictures are made where any row of any trial shows one.
    fullest = {
        name: max(varying[name])
        for name in ("rows_per_step", "regularization_ratio")
        if name in varying
    }
    names = [name for name in _DATA_FIELDS if name in varying]
    values = itertools.product(*(varying[name] for name in names))
    return [
        replace(config, **fullest, **dict(zip(names, value, strict=True)))
        for value in itertools.islice(values, _MOST_KINDS)
    ]


def prepare_shared(task: TrainTask, configs: Sequence[TrainingConfig]) -> None:
    """Make what trials share; runs where a worker would.

    Args:
        task: The task of a trial; its run directory is the sweep's folder, where progress is told.
        configs: The configurations from `distinct_data`.

    Raises:
        ConfigError: Nothing can judge pictures of this base.
        OSError: A folder cannot be written.
    """
    base = load_local_base(task.base, precision=task.precision, vae=task.vae).at(task.resolution)
    plan = task.scoring
    assert plan is not None
    assert plan.base_pictures is not None
    if not plan.base_pictures.exists():
        # Refuses a base that has no judge, before anything is made.
        Validation(base, replace(task, scoring=replace(plan, base_pictures=None)))
        save_base_pictures(
            plan.base_pictures,
            base,
            [subject.class_noun for subject in task.config.subjects],
            task.sample_seeds,
            on_step=_telling(task, "pictures of the base"),
        )
    for config in configs:
        progress = task.run.write_phase
        prepare(base, config, task.pictures, task.cache, progress, task.regularization)


def _telling(task: TrainTask, phase: str) -> Callable[[int, int], Any]:
    return lambda done, total: task.run.write_phase(phase, done, total)
