"""Ray Train for one run: start the workers, and say what went wrong as the user can mend it.

Each trial of a sweep is a process that does this and nothing else, so the model's libraries are
imported by the workers alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray.train
from ray.train import RunConfig, ScalingConfig
from ray.train.torch import TorchConfig, TorchTrainer

from rayjobs.cluster.failures import lost_workers, mendable
from rayjobs.training.task import TrainTask

__all__ = ["fit"]

_PATIENCE_S = 4 * 3600
"""How long the other workers wait while the first of their node prepares."""


def fit(
    task: TrainTask,
    resources: ScalingConfig,
    notes: Path,
    callbacks: Sequence[Any] = (),
    tell: Callable[[str], object] = str,
) -> dict[str, Any]:
    """Train on a cluster that is connected.

    Where workers are lost, with a node that was taken away for one, others go on from the last
    checkpoint, as soon as the cluster has a place for them. Training ends where they are lost
    again and got no further: a worker that has too little memory would be lost for ever.

    Args:
        task: For every worker; its run is claimed for this start.
        resources: The resources of the workers.
        notes: Folder for what Ray notes of this start.
        callbacks: Told of every report; `UserCallback` of Ray Train.
        tell: Is called with a line when workers were lost and others take their places.

    Returns:
        The run's summary.

    Raises:
        CustomDiffusionError: Something that the user can mend.
        OSError: A folder cannot be written.
        KeyboardInterrupt: Ray was told to end.
    """
    lost_before = -1
    while True:
        try:
            return _fit_once(task, resources, notes, callbacks)
        except ray.train.TrainingFailedError as error:
            lost, step = lost_workers(error), task.run.last_step
            if not lost or step <= lost_before:
                raise mendable(error, task.run) from error
        lost_before = step
        tell(
            f"worker {' and '.join(map(str, lost))} was lost after step {step}, its process or "
            "node has gone; going on from the last checkpoint"
        )
        task = _begun_again(task)


def _begun_again(task: TrainTask) -> TrainTask:
    """Take the run over from workers that Ray has lost sight of, and that may live on.

    Raises:
        RunError: Another process has taken it over meanwhile.
    """
    task.run.check_claim(task.session)
    # What the lost ones were doing is not what the next ones are doing.
    task.run.phase_file.unlink(missing_ok=True)
    return replace(task, session=task.run.begin())


def _fit_once(
    task: TrainTask, resources: ScalingConfig, notes: Path, callbacks: Sequence[Any]
) -> dict[str, Any]:
    # Ray 2.60 runs functions that return something, which its annotations do not know yet.
    work: Any = _work
    trainer = TorchTrainer(
        work,
        train_loop_config={"task": task},
        torch_config=TorchConfig(timeout_s=_PATIENCE_S),
        scaling_config=resources,
        # What Ray keeps of a run, and rewrites in place, is of no use to another start.
        run_config=RunConfig(name=task.session, storage_path=str(notes), callbacks=list(callbacks)),
    )
    try:
        result: Any = trainer.fit()
    except SystemExit as exit_:
        # What Ray's own handlers of SIGINT and SIGTERM end with.
        raise KeyboardInterrupt from exit_
    summary: dict[str, Any] = result.return_value
    return summary


def _work(loop_config: dict[str, Any]) -> dict[str, Any] | None:
    from rayjobs.training.worker import train_worker

    return train_worker(loop_config)
