"""Pretrain the pocket base without a cluster: ``python -m cdcore.pocket --output DIR``.

For a machine that is there only briefly: the same folder can be continued anywhere, also by
``rayjobs/pretrain.py``.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cdcore.command_line.parser import parse, run_command
from cdcore.errors import one_line
from cdcore.pocket.pretraining.checks import check_piece, is_complete
from cdcore.pocket.pretraining.piece import Piece, completed_steps
from cdcore.pocket.pretraining.stage_names import STAGES, StageName
from cdcore.user_paths import expanded

if TYPE_CHECKING:
    from cdcore.pocket.pretraining.pretrain import StepReport

__all__ = ["PieceJob", "main"]

_LINE_EVERY = 25


@dataclass(frozen=True, kw_only=True, slots=True)
class PieceJob:
    """What to pretrain."""

    output: Path = Path("runs/pocket")
    """Folder of the base; a base that is there is continued."""
    stages: tuple[StageName, ...] = STAGES
    """Stages to run, in order."""
    seconds: float | None = None
    """Stop after so long; the next run continues."""
    steps: int | None = None
    """Steps of each of these stages; unset, the stage's own."""
    pictures: int = 32_000
    """Pictures to draw and train on."""
    seed: int = 0
    """Seed of the world and of every draw."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to compute."""
    cache: Path = Path("~/.cache/customdiffusion")
    """Folder of drawn pictures."""

    @property
    def piece(self) -> Piece:
        """The piece of pretraining, on the CPU."""
        return Piece(
            folder=self.output.resolve(),
            work=Path(expanded(str(self.cache))).resolve() / "pocket",
            stages=self.stages,
            seconds=self.seconds,
            steps=None if self.steps is None else dict.fromkeys(self.stages, self.steps),
            pictures=self.pictures,
            seed=self.seed,
        )


def main(argv: Sequence[str] | None = None) -> None:
    """Run one piece and say how it goes.

    Args:
        argv: The arguments; None takes the process's own.

    Raises:
        CustomDiffusionError: A setting or the folder cannot be used.
        OSError: A folder cannot be written.
    """
    job = parse(
        PieceJob,
        argv,
        prog="python -m cdcore.pocket",
        description="Pretrain the pocket base from nothing, or continue the one in --output.",
        takes_file=False,
    )
    check_piece(job.piece)
    # The model libraries take seconds to import: what needs none should not wait for them.
    from cdcore.model.device import chosen_device

    _run(replace(job.piece, device=chosen_device(job.device)))


def _run(piece: Piece) -> None:
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    from cdcore.pocket.pretraining.pretrain import pretrain

    # They draw a bar for every file that is read or written.
    diffusers_logging.set_verbosity_error()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    finished = pretrain(piece, _write_step)
    if is_complete(piece.folder):
        _write_samples(piece)
    done = ", ".join(f"{name} {steps}" for name, steps in completed_steps(piece.folder).items())
    _write(f"completed steps: {done}")
    if not finished:
        _write("the time is over; the same command continues")


def _write_samples(piece: Piece) -> None:
    from cdcore.model.loading import load_base
    from cdcore.pictures.png import save_picture
    from cdcore.pocket.examination.showcase import showcase

    base = load_base(str(piece.folder), device=piece.device)
    path = piece.folder / "samples.png"
    save_picture(path, showcase(base), {"base": base.fingerprint})
    _write(f"samples: {one_line(path)}")


def _write_step(report: "StepReport") -> None:
    if report.step % _LINE_EVERY and report.step != report.steps:
        return
    left_min = (report.steps - report.step) * report.seconds / 60
    _write(
        f"{report.stage} {report.step}/{report.steps}  loss {report.loss:.4f}  "
        f"{report.seconds:.3f} s/step  {left_min:.1f} min left"
    )


def _write(line: str) -> None:
    # Flushed, because a machine that takes itself away takes an unwritten buffer along.
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    run_command(main)
