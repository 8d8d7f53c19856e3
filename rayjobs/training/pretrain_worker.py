"""What one Ray Train worker does in pretraining: its share, and, as the first, the samples."""

import json
import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import ray.train
import ray.train.torch
from torch import distributed as dist

from cdcore.files import write_text
from cdcore.model.loading import load_base
from cdcore.pictures.png import save_picture
from cdcore.pocket.examination.showcase import showcase
from cdcore.pocket.pretraining.album import open_album
from cdcore.pocket.pretraining.checks import is_complete
from cdcore.pocket.pretraining.piece import Piece
from cdcore.pocket.pretraining.pretrain import StepReport, pretrain
from rayjobs.runs.run_directory import RunDirectory

__all__ = ["SAMPLES_FILE", "pretrain_worker"]

SAMPLES_FILE = "samples.png"

_PHASE_EVERY_S = 0.3
_LOSS_DECAY = 0.9


def pretrain_worker(loop_config: dict[str, Any]) -> bool:
    """Run one worker's share of ``loop_config["piece"]``, a `Piece`, on the device Ray gave it.

    Each worker draws its own batch and the gradients are averaged, so every further worker adds
    pictures to a step.

    Args:
        loop_config: Also holds ``notes``, the `RunDirectory` whose phase the driver follows.

    Returns:
        Whether every stage of the piece has all its steps.
    """
    piece: Piece = replace(loop_config["piece"], device=str(ray.train.torch.get_device()))
    show = _Phase(loop_config["notes"]) if dist.get_rank() == 0 else _ignore
    deadline = math.inf if piece.seconds is None else time.monotonic() + piece.seconds
    show("drawing pictures", 0, 1, "")
    if ray.train.get_context().get_local_rank() == 0:
        open_album(piece.work, seed=piece.seed, count=piece.pictures)
    dist.barrier()
    finished = _run_stages(piece, deadline, show)
    if dist.get_rank() == 0 and is_complete(piece.folder):
        show("sampling", 0, 1, "")
        base = load_base(str(piece.folder), device=piece.device)
        settings = {"base": base.fingerprint}
        save_picture(piece.folder / SAMPLES_FILE, showcase(base), settings)
        show("sampling", 1, 1, "")
    return finished


def _run_stages(piece: Piece, deadline: float, show: Callable[[str, int, int, str], None]) -> bool:
    averages: dict[str, float] = {}

    def on_step(report: StepReport) -> None:
        before = averages.get(report.stage, report.loss)
        loss = before + (1 - _LOSS_DECAY) * (report.loss - before)
        averages[report.stage] = loss
        figures = f"loss {loss:.3f}  {report.seconds:.2f} s/step"
        show(report.stage, report.step, report.steps, figures)

    for name in piece.stages:
        # A stage may first draw or encode all pictures, which takes minutes.
        show(f"preparing {name}", 0, 1, "")
        seconds = None if piece.seconds is None else deadline - time.monotonic()
        if not pretrain(replace(piece, stages=(name,), seconds=seconds), on_step):
            return False
    return True


class _Phase:
    """Writes what the run is doing where the driver's progress bar looks."""

    def __init__(self, run: RunDirectory) -> None:
        self._file = run.phase_file
        self._written_at = -math.inf

    def __call__(self, phase: str, done: int, total: int, figures: str) -> None:
        # A GPU makes dozens of steps a second, and each write waits for the disk.
        if 0 < done < total and time.monotonic() - self._written_at < _PHASE_EVERY_S:
            return
        self._written_at = time.monotonic()
        text = {"phase": phase, "done": done, "total": total, "figures": figures}
        write_text(self._file, json.dumps(text))


def _ignore(phase: str, done: int, total: int, figures: str) -> None:
    pass
