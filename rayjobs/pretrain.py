"""Pretrain the pocket base from nothing, or continue one: ``python rayjobs/pretrain.py``."""

import sys
from pathlib import Path

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from rayjobs.quiet import silence

silence()

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from rich.console import Console

from cdcore.errors import ConfigError
from rayjobs.cli import parse, run_command
from rayjobs.places import result_folder

if TYPE_CHECKING:
    from ray.train import ScalingConfig

    from cdcore.pocket.pretraining import Piece
    from cdcore.run_directory import RunDirectory

__all__ = ["PretrainJob", "main", "run"]

_RUN_FOLDER = ".run"
"""Beside the base, while a piece lasts: what it is doing now, and what Ray Train notes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PretrainJob:
    """What to pretrain, and where.

    Raises:
        ConfigError: A setting is impossible.
    """

    output: Path = Path("runs/pocket")
    """Folder of the base, which every worker must see; a base that is there is continued."""
    stages: tuple[Literal["autoencoder", "towers", "unet", "judge"], ...] = (
        "autoencoder",
        "towers",
        "unet",
        "judge",
    )
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


def run(job: PretrainJob) -> bool:
    """Run one piece to its end and say where the base is.

    Returns:
        Whether every stage of the job has all its steps.

    Raises:
        CustomDiffusionError: A setting, the folder or the cluster cannot be used.
        OSError: A folder cannot be written.
    """
    # Torch and Ray take seconds to import: --help should not wait for them.
    from cdcore.pocket.pretraining import Piece, completed_steps
    from cdcore.pocket.readiness import check_piece
    from cdcore.run_directory import RunDirectory
    from rayjobs.cluster import connected
    from rayjobs.pretrain_worker import SAMPLES_FILE
    from rayjobs.progress import RunProgress

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
    notes = RunDirectory(folder / _RUN_FOLDER)
    console = Console(soft_wrap=True, highlight=False)
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
        console.print(f"samples: {folder / SAMPLES_FILE}")
    console.print(f"base:    {folder}")
    return finished


def main() -> None:
    """Run the command."""
    run(
        parse(
            PretrainJob,
            prog="pretrain.py",
            description="Pretrain the pocket base on its own drawn world, or continue one.",
            groups={
                "training": ("steps", "pictures", "seed"),
                "cluster": ("workers", "device", "cache"),
            },
        )
    )


def _fit(job: PretrainJob, piece: "Piece", notes: "RunDirectory", console: Console) -> bool:
    from ray.train import RunConfig
    from ray.train.torch import TorchTrainer

    from rayjobs.cluster import tell_if_busy
    from rayjobs.pretrain_worker import pretrain_worker

    resources = _scaling(job)
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


def _scaling(job: PretrainJob) -> "ScalingConfig":
    from rayjobs.cluster import scaling

    config = scaling(job.workers, use_gpu=False if job.device == "cpu" else None)
    if job.device == "cuda" and not config.use_gpu:
        raise ConfigError("--device cuda, but the cluster has no GPU; give --device cpu")
    return config


if __name__ == "__main__":
    run_command(main)
