"""How many trials run at once, and what each of their workers gets. Plain Python: no Ray.

The driver of a trial takes nothing, so that any number of drivers can wait for their workers; all
workers of all trials that run at once fit into the cluster together, so none waits for ever.
"""

from dataclasses import dataclass

from cdcore.errors import ConfigError
from rayjobs.cluster.capacity import Capacity

__all__ = ["Slots", "share_out"]

_MOST_ON_CPUS = 4
"""Trials at a time on CPUs unless asked for: each holds a base in memory."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Slots:
    """What a sweep takes of a cluster.

    Attributes:
        concurrent: Trials at a time.
        workers: The workers of each trial.
        cpus: The CPUs of each worker; on GPUs what Ray gives by default.
        uses_gpu: Whether each worker has a GPU.
    """

    concurrent: int
    workers: int
    cpus: int
    uses_gpu: bool


def share_out(
    *, whole: Capacity, free: Capacity, workers: int, trials: int, concurrent: int | None
) -> Slots:
    """Share what is free of a cluster out among trials.

    Where others have taken too much of it, workers ask for one CPU each and wait for it.

    Args:
        whole: The cluster; where it has GPUs, each worker takes one.
        free: What others have left of it.
        workers: The workers of each trial.
        trials: The trials of the sweep.
        concurrent: Trials at a time, as the user asks for; None for as many as fit.

    Raises:
        ConfigError: The trials do not fit, even when nobody else is there.
    """
    use_gpu = whole.slots(use_gpu=True) > 0
    units = whole.slots(use_gpu=use_gpu)
    if units // workers < (concurrent or 1):
        raise ConfigError(
            f"{concurrent or 1} trials at a time with {workers} workers each, but the cluster has "
            f"{units} {'GPUs' if use_gpu else 'CPUs'}; give fewer --concurrent or --workers"
        )
    if concurrent is None:
        concurrent = max(1, free.slots(use_gpu=use_gpu) // workers)
        if not use_gpu:
            concurrent = min(concurrent, _MOST_ON_CPUS)
    at_once = min(concurrent, trials)
    each = 1 if use_gpu else max(1, free.cpus_each(at_once * workers))
    return Slots(concurrent=at_once, workers=workers, cpus=each, uses_gpu=use_gpu)
