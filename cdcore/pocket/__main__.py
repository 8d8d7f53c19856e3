"""Pretrain the pocket base without a cluster: ``python -m cdcore.pocket --output DIR``.

For a machine that is there only briefly: the same folder can be continued anywhere, also by
``rayjobs/pretrain.py``.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from diffusers.utils import logging as diffusers_logging
from transformers.utils import logging as transformers_logging

from cdcore.errors import CustomDiffusionError
from cdcore.model.device import chosen_device
from cdcore.model.loading import load_base
from cdcore.pictures.png import save_picture
from cdcore.pocket.examination.showcase import showcase
from cdcore.pocket.pretraining.checks import check_piece, is_complete
from cdcore.pocket.pretraining.pretrain import Piece, StepReport, completed_steps, pretrain
from cdcore.pocket.pretraining.stage_names import STAGES

__all__ = ["main"]

_LINE_EVERY = 25
_BAD_INPUT = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run one piece and say how it goes.

    Args:
        argv: The arguments; None takes the process's own.

    Returns:
        The exit status: 0, or 2 for bad input.
    """
    try:
        _run(_piece(argv))
    except (CustomDiffusionError, OSError) as error:
        sys.stderr.write(f"error: {' '.join(str(error).split())}\n")
        return _BAD_INPUT
    return 0


def _piece(argv: Sequence[str] | None) -> Piece:
    parser = argparse.ArgumentParser(
        prog="python -m cdcore.pocket",
        description="Pretrain the pocket base from nothing, or continue the one in --output.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    defaults = {field.name: field.default for field in fields(Piece)}
    add("--output", type=Path, default=Path("runs/pocket"), help="folder of the base")
    add("--stages", nargs="+", choices=STAGES, default=STAGES, help="stages to run, in order")
    add("--seconds", type=float, help="stop after so long; the next run continues")
    add("--steps", type=int, help="steps of each of these stages; unset, the stage's own")
    add("--pictures", type=int, default=defaults["pictures"], help="pictures to draw and train on")
    add("--seed", type=int, default=defaults["seed"], help="of the world and of every draw")
    add("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where to compute")
    add("--cache", type=Path, default=Path("~/.cache/customdiffusion"), help="of drawn pictures")
    asked = parser.parse_args(argv)
    return Piece(
        folder=asked.output.expanduser().resolve(),
        work=asked.cache.expanduser().resolve() / "pocket",
        stages=tuple(asked.stages),
        seconds=asked.seconds,
        steps=None if asked.steps is None else dict.fromkeys(asked.stages, asked.steps),
        pictures=asked.pictures,
        seed=asked.seed,
        device=chosen_device(asked.device),
    )


def _run(piece: Piece) -> None:
    check_piece(piece)
    # They draw a bar for every file that is read or written.
    diffusers_logging.set_verbosity_error()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    finished = pretrain(piece, _write_step)
    if is_complete(piece.folder):
        base = load_base(str(piece.folder), device=piece.device)
        path = piece.folder / "samples.png"
        save_picture(path, showcase(base), {"base": base.fingerprint})
        _write(f"samples: {path}")
    done = ", ".join(f"{name} {steps}" for name, steps in completed_steps(piece.folder).items())
    _write(f"completed steps: {done}")
    if not finished:
        _write("the time is over; the same command continues")


def _write_step(report: StepReport) -> None:
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
    sys.exit(main())
