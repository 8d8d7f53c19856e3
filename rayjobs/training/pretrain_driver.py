"""The driver of pretraining: it starts the workers and follows them."""

import shutil
from typing import TYPE_CHECKING, Any

from rich.console import Console

from cdcore.errors import one_line
from cdcore.pocket.pretraining.checks import check_piece
from cdcore.pocket.pretraining.piece import Piece, completed_steps
from raycluster.joinable import check_joinable
from rayjobs.cli.console import plain_console
from rayjobs.cli.output_checks import check_place
from rayjobs.config.pretraining import PretrainJob
from rayjobs.runs.result_paths import result_folder

if TYPE_CHECKING:
    from rayjobs.runs.run_directory import RunDirectory

__all__ = ["run"]

_RUN_FOLDER = ".run"
"""Beside the base, while a piece lasts: what it is doing now, and what Ray Train notes."""
_GPUS = {"auto": None, "cpu": False, "cuda": True}


def run(job: PretrainJob) -> bool:
    """Run one piece to its end and say where the base is.

    Returns:
        Whether every stage of the job has all its steps.

    Raises:
        CustomDiffusionError: A setting, the folder or the cluster cannot be used.
        OSError: A folder cannot be written.
    """
    folder = result_folder(job.output, "--output")
    piece = Piece(
        folder=folder,
        work=result_folder(job.cache, "--cache") / "pocket",
        stages=job.stages,
        seconds=job.seconds,
        steps=None if job.steps is None else dict.fromkeys(job.stages, job.steps),
        pictures=job.pictures,
        seed=job.seed,
    )
    check_piece(piece)
    check_place(folder)
    check_place(piece.work, "--cache")
    check_joinable()
    # Torch and Ray take seconds to import: what needs neither should not wait.
    from raycluster.connection import connected
    from rayjobs.runs.progress import RunProgress
    from rayjobs.runs.run_directory import RunDirectory
    from rayjobs.training.pretrain_worker import SAMPLES_FILE

    notes = RunDirectory(folder / _RUN_FOLDER)
    console = plain_console(soft_wrap=True)
    try:
        with connected(), RunProgress(notes, console):
            finished = _fit(job, piece, notes, console)
    finally:
        shutil.rmtree(notes.path, ignore_errors=True)
    done = ", ".join(f"{name} {steps}" for name, steps in completed_steps(folder).items())
    console.print(f"completed steps: {done}")
    if not finished:
        console.print("the time is over; the same command continues")
    if (folder / SAMPLES_FILE).exists():
        console.print(f"samples: {one_line(folder / SAMPLES_FILE)}")
    console.print(f"base:    {one_line(folder)}")
    return finished


def _fit(job: PretrainJob, piece: Piece, notes: "RunDirectory", console: Console) -> bool:
    from ray.train import RunConfig
    from ray.train.torch import TorchTrainer

    from rayjobs.cluster.scaling import scaling, tell_if_busy
    from rayjobs.training.pretrain_worker import pretrain_worker

    resources = scaling(job.workers, console, gpus=_GPUS[job.device])
    tell_if_busy(console, resources)
    # Ray's annotations know neither what a worker returns nor where to find it.
    trainer: Any = TorchTrainer
    try:
        result = trainer(
            pretrain_worker,
            train_loop_config={"piece": piece, "notes": notes},
            scaling_config=resources,
            # Nothing is reported: a base continues from its own folder, on any cluster.
            run_config=RunConfig(name="ray", storage_path=str(notes.path)),
        ).fit()
    except SystemExit as exit_:
        # What Ray's own handlers of SIGINT and SIGTERM end with.
        raise KeyboardInterrupt from exit_
    return bool(result.return_value)
