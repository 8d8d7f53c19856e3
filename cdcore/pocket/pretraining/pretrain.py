"""Pretraining of the pocket base from nothing, in pieces that continue from weights alone.

Four stages in order: the autoencoder, the contrastive towers, the noise predictor that reads their
text, and the judge. A stage ends after its planned steps. Every piece ends by writing the whole
diffusers folder in half precision, so a piece can run wherever there is time for one.
"""

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch import distributed as dist

from cdcore.files import write_text
from cdcore.pocket.pretraining.muon import Muon, is_hidden_matrix
from cdcore.pocket.pretraining.piece import PROGRESS_FILE, Piece, completed_steps
from cdcore.pocket.pretraining.stage import Stage
from cdcore.pocket.pretraining.stage_names import StageName
from cdcore.pocket.pretraining.stages import open_stage

__all__ = ["StepReport", "pretrain"]

_WARM_UP_STEPS = 50
_FINAL_LEARNING_RATE = 0.05
_SAVE_EVERY_S = 240.0
_MAX_GRADIENT_NORM = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class StepReport:
    """What one completed step of a stage reports.

    Attributes:
        stage: Which stage.
        step: Completed steps of the stage, from 1.
        steps: Planned steps of the stage.
        loss: The loss of this step.
        seconds: This step took.
    """

    stage: StageName
    step: int
    steps: int
    loss: float
    seconds: float


def pretrain(piece: Piece, on_step: Callable[[StepReport], None]) -> bool:
    """Run one piece of pretraining.

    Args:
        piece: What to run.
        on_step: Called after every step.

    Returns:
        Whether every stage of the piece has all its steps.

    Raises:
        OSError: A folder cannot be written.
    """
    deadline = math.inf if piece.seconds is None else time.monotonic() + piece.seconds
    for name in piece.stages:
        done = completed_steps(piece.folder).get(name, 0)
        stage = open_stage(name, piece.folder, piece.work, piece.pictures, piece.seed, piece.device)
        planned = (piece.steps or {}).get(name, stage.steps)
        for report in _run(stage, done, planned, deadline, piece):
            on_step(report)
        if completed_steps(piece.folder).get(name, 0) < planned:
            return False
    return True


def _run(
    stage: Stage, first: int, planned: int, deadline: float, piece: Piece
) -> Iterator[StepReport]:
    parameters = list(stage.module.parameters())
    device = torch.device(piece.device)
    optimizers = _optimizers(stage)
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    rates = [group["lr"] for group in groups]
    average = deepcopy(stage.module).requires_grad_(False)
    # Every rank and every piece draws anew: continuing must not repeat the first piece's batches.
    stage.generator.manual_seed(hash((piece.seed, first, _rank())) % 2**31)
    saved_at = time.monotonic()
    done = first
    for step in range(first, planned):
        if _agreed(time.monotonic() > deadline):
            break
        started = time.monotonic()
        for group, rate in zip(groups, rates, strict=True):
            group["lr"] = rate * _learning_rate_factor(step, step - first, planned)
        with torch.autocast(device.type, torch.bfloat16, enabled=_multiplies_bfloat16(device)):
            loss = stage.loss(step)
        loss.backward()
        _average_gradients(parameters)
        nn.utils.clip_grad_norm_(parameters, _MAX_GRADIENT_NORM)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        _update_average(average, stage.module, min(stage.average_decay, (1 + step) / (10 + step)))
        yield StepReport(
            stage=stage.name,
            step=step + 1,
            steps=planned,
            loss=loss.item(),
            seconds=time.monotonic() - started,
        )
        done = step + 1
        if _agreed(time.monotonic() - saved_at > _SAVE_EVERY_S):
            _save(stage, average, done, piece.folder)
            saved_at = time.monotonic()
    _save(stage, average, done, piece.folder)


def _optimizers(stage: Stage) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
    matrices: list[Tensor] = []
    rest: list[Tensor] = []
    for name, parameter in stage.module.named_parameters():
        (matrices if is_hidden_matrix(name, parameter) else rest).append(parameter)
    return (
        Muon(matrices, lr=stage.matrix_learning_rate),
        torch.optim.AdamW(rest, lr=stage.learning_rate, betas=(0.9, 0.99), weight_decay=0.0),
    )


def _multiplies_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities: Mapping[str, Any] = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16"))


def _learning_rate_factor(step: int, step_of_piece: int, planned: int) -> float:
    warm_up = min(1.0, (step_of_piece + 1) / _WARM_UP_STEPS)
    cosine = 0.5 * (1 + math.cos(math.pi * step / planned))
    return warm_up * (_FINAL_LEARNING_RATE + (1 - _FINAL_LEARNING_RATE) * cosine)


def _save(stage: Stage, average: nn.Module, done: int, folder: Path) -> None:
    if _rank() == 0:
        stage.save(average, folder)
        progress = completed_steps(folder) | {stage.name: done}
        write_text(folder / PROGRESS_FILE, json.dumps(progress) + "\n")
    if dist.is_initialized():
        dist.barrier()


@torch.no_grad()
def _update_average(average: nn.Module, module: nn.Module, decay: float) -> None:
    ours: list[Tensor] = list(average.parameters())
    theirs: list[Tensor] = list(module.parameters())
    torch._foreach_lerp_(ours, theirs, 1 - decay)
    # Statistics of a batch normalisation are averages already.
    for buffer, new in zip(average.buffers(), module.buffers(), strict=True):
        buffer.copy_(new)


def _average_gradients(parameters: list[Tensor]) -> None:
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return
    for parameter in parameters:
        if parameter.grad is not None:
            dist.all_reduce(parameter.grad)
            parameter.grad /= dist.get_world_size()


def _agreed(decision: bool) -> bool:
    """Return the first rank's decision: ranks whose clocks differ would wait for each other."""
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return decision
    decisions = [decision]
    dist.broadcast_object_list(decisions, src=0)
    return decisions[0]


def _rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0
