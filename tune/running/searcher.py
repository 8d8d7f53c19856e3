"""How points are chosen and trials are stopped, in the words of Ray Tune.

A sweep that goes on must ask for the same trials again. Random and grid search do, because their
order depends on the seed alone. Optuna's choice depends on what it has heard so far; so it is given
the points that were begun as the first to ask for, and a seed of its own for those that follow.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ray import tune as ray_tune
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler
from ray.tune.search import ConcurrencyLimiter, Searcher
from ray.tune.search.basic_variant import BasicVariantGenerator

from tune.plan.goal import AXES, VALUE
from tune.plan.job import SweepJob
from tune.plan.search_space import Dimension

__all__ = ["domains", "scheduler_of", "score_every", "searcher_of"]


def domains(space: Sequence[Dimension], *, is_grid: bool = False) -> dict[str, Any]:
    """Return the space as Ray Tune takes it.

    Args:
        space: The dimensions.
        is_grid: Whether every listed value is to be tried with every other.
    """
    return {dimension.field: _domain(dimension, is_grid=is_grid) for dimension in space}


def searcher_of(
    job: SweepJob, known: Sequence[Mapping[str, Any]], concurrent: int
) -> Searcher | BasicVariantGenerator:
    """Return what chooses the points of a sweep.

    Args:
        job: The sweep.
        known: Settings of the trials that have begun already, in their order.
        concurrent: Trials at a time.
    """
    if job.method in ("random", "grid"):
        return BasicVariantGenerator(max_concurrent=concurrent, random_state=job.search_seed)
    import optuna
    from ray.tune.search.optuna import OptunaSearch

    # It tells of every trial on standard error, where the table is.
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    is_single = job.method == "optuna"
    searcher = OptunaSearch(
        domains(job.space),
        metric=VALUE if is_single else list(AXES),
        mode="max" if is_single else list(AXES.values()),
        points_to_evaluate=[dict(settings) for settings in known],
        # With the same seed the next point would be the first one once more.
        seed=job.search_seed + len(known),
    )
    return ConcurrencyLimiter(searcher, max_concurrent=concurrent)


def scheduler_of(job: SweepJob, steps: int) -> TrialScheduler:
    """Return what ends trials on the way.

    Args:
        job: The sweep.
        steps: The steps of its longest trial.
    """
    first = score_every(job, steps)
    if not job.early_stopping or first >= steps:
        return FIFOScheduler()  # type: ignore[no-untyped-call]
    return ASHAScheduler(
        time_attr="step",
        metric=VALUE,
        mode="max",
        # A trial that has come to its end is none to stop, however it compares.
        max_t=steps - 1,
        stop_last_trials=False,
        grace_period=first,
        reduction_factor=job.keep,
    )


def score_every(job: SweepJob, steps: int) -> int:
    """Return the steps between scores on the way, for a trial of ``steps`` steps at most."""
    return max(1, steps // 4) if job.score_every is None else job.score_every


def _domain(dimension: Dimension, *, is_grid: bool) -> Any:
    if not dimension.is_range:
        choices = list(dimension.choices)
        return ray_tune.grid_search(choices) if is_grid else ray_tune.choice(choices)
    low: Any = dimension.low
    high: Any = dimension.high
    if dimension.is_whole:
        # Ray Tune leaves out the upper end.
        draw = ray_tune.lograndint if dimension.is_log else ray_tune.randint
        return draw(low, high + 1)
    return (ray_tune.loguniform if dimension.is_log else ray_tune.uniform)(low, high)
