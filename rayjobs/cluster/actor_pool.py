"""A pool: actors on the cluster that take items from one queue, by Ray Data.

What an actor returns comes back as soon as it is done. An error that the user can mend comes back
as such, and not as a stack of what Ray Data has wrapped around it.
"""

import logging
import pickle
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import ray
import ray.data
from ray.data import ActorPoolStrategy, DataContext
from ray.train import ScalingConfig

from cdcore.errors import CustomDiffusionError
from rayjobs.cluster.scaling import without_gpus

__all__ = ["Worker", "results"]


class Worker(Protocol):
    """What runs in each actor: made once, then called with some items at a time."""

    def __init__(self, task: Any) -> None:
        """Load what all items need."""

    def work(self, items: Sequence[Any]) -> list[str]:
        """Do the work of some items, and return a line for each."""


def results(
    items: Sequence[Any],
    kind: type[Worker],
    task: Any,
    *,
    scaling: ScalingConfig,
    at_once: int = 1,
) -> Iterator[str]:
    """Hand out items to a pool of workers; an item is shipped once, when it is taken.

    Args:
        items: At least one; anything that can be pickled.
        kind: The class of the workers, from an importable module.
        task: What its instances are made with.
        scaling: How many of them, and what each takes.
        at_once: Items of one call.

    Yields:
        The workers' lines, as they come.

    Raises:
        CustomDiffusionError: A worker has raised it; the others' work until then is done.
    """
    _quieten()
    rows = [{"item": pickle.dumps(item)} for item in items]
    blocks = -(-len(rows) // at_once)
    need: dict[str, Any] = {"num_gpus": 1}
    if not scaling.use_gpu:
        need = {"num_cpus": _cpus(scaling), "runtime_env": without_gpus()}
    count: Any = scaling.num_workers
    mapped = ray.data.from_items(rows, override_num_blocks=blocks).map_batches(
        _Called,
        fn_constructor_args=(kind, task),
        batch_size=at_once,
        compute=ActorPoolStrategy(size=min(count, blocks)),
        **need,
    )
    for row in mapped.iter_rows():
        if row["error"]:
            error: Exception = pickle.loads(row["error"])
            raise error
        yield str(row["line"])


class _Called:
    """The class that Ray Data makes and calls."""

    def __init__(self, kind: type[Worker], task: Any) -> None:
        self._worker: Worker | None = None
        self._error: Exception | None = None
        try:
            self._worker = kind(task)
        except (CustomDiffusionError, OSError) as error:
            # Raised here, Ray Data would start the actor again and again.
            self._error = error

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        error = self._error
        lines = [""]
        if self._worker is not None:
            try:
                lines = self._worker.work([pickle.loads(item) for item in batch["item"]])
            except (CustomDiffusionError, OSError) as caught:
                error = caught
        told = b"" if error is None else pickle.dumps(error)
        return {"line": np.array(lines), "error": np.array([told] * len(lines), dtype=object)}


def _cpus(scaling: ScalingConfig) -> float:
    resources: Any = scaling.resources_per_worker or {}
    return float(resources.get("CPU", 1))


def _quieten() -> None:
    """Leave the terminal to the job's own bar."""
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
