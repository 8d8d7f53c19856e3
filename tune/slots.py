"""How many trials run at once, and what each of their workers gets. Plain Python: no Ray.

The driver of a trial takes nothing, so that any number of drivers can wait for their workers; all
workers of all trials that run at once fit into the cluster together, so none waits for ever.
"""

from dataclasses import dataclass

from cdcore.errors import ConfigError

__all__ = ["Slots", "share_out"]

_MOST_ON_CPUS = 4
"""Trials at a time on CPUs unless asked for: each holds a base in memory."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Slots:
    """What a sweep takes of a cluster.

    Attributes:
        concurrent: Trials at a time.
        workers: Of each trial.
        cpus: Of each worker; on GPUs what Ray gives by default.
        uses_gpu: Whether each worker has a GPU.
    """

    concurrent: int
    workers: int
    cpus: int
    uses_gpu: bool


def share_out(*, gpus: int, cpus: int, workers: int, trials: int, concurrent: int | None) -> Slots:
    """Share a cluster out among trials.

    Args:
        gpus: Of the cluster; where there are any, each worker takes one.
        cpus: Of the cluster, each worker takes as many as there are for it.
        workers: Of each trial.
        trials: Of the sweep.
        concurrent: Trials at a time, as the user asks for; None for as many as fit.

    Raises:
        ConfigError: They do not fit.
    """
    units, kind = (gpus, "GPUs") if gpus else (cpus, "CPUs")
    fitting = units // workers
    if fitting < (concurrent or 1):
        raise ConfigError(
            f"{concurrent or 1} trials at a time with {workers} workers each, but the cluster has "
            f"{units} {kind}; give fewer --concurrent or --workers"
        )
    if concurrent is None:
        concurrent = fitting if gpus else min(fitting, _MOST_ON_CPUS)
    at_once = min(concurrent, trials)
    each = 1 if gpus else cpus // (at_once * workers)
    return Slots(concurrent=at_once, workers=workers, cpus=each, uses_gpu=gpus > 0)
