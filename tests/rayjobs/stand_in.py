"""A cluster that trains nothing, for what a driver decides before and after."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ray.train import ScalingConfig
from rich.console import Console

from cdcore.errors import CustomDiffusionError
from rayjobs.training.task import TrainTask


class Cluster:
    """Stands for Ray: counts the starts, and trains nothing.

    Attributes:
        workers: How many it can hold.
        tasks: What it was asked to train.
        error: How training ends, if not well.
        concept: Content of the concept file that training leaves.
        earlier_s: How long earlier starts have trained.
        before: Called while training.
    """

    def __init__(self, workers: int = 64) -> None:
        self.workers = workers
        self.tasks: list[TrainTask] = []
        self.error: BaseException | None = None
        self.concept = b""
        self.earlier_s = 0.0
        self.before: Callable[[], None] = lambda: None

    @contextmanager
    def connected(self) -> Iterator[None]:
        yield

    def scaling(
        self, workers: int, console: Console, *, gpus: bool | None, is_small: bool
    ) -> ScalingConfig:
        if workers > self.workers:
            raise CustomDiffusionError("too many workers for this cluster")
        return ScalingConfig(num_workers=workers)

    def fit(self, task: TrainTask, _: ScalingConfig, __: Path, **___: Any) -> dict[str, Any]:
        self.tasks.append(task)
        self.before()
        if self.error is not None:
            raise self.error
        task.run.concept_file.write_bytes(self.concept)
        return {
            "name": task.run.name,
            "status": "finished",
            "seconds": {"earlier": self.earlier_s},
            "metrics": {},
        }
