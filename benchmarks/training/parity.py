"""Parity: the first step's loss and gradients in bfloat16 against those in float32, same rows."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.common.random_bases import random_base
from benchmarks.recipes.case import random_data, training_config
from benchmarks.recipes.first_step import FirstStep
from cdcore.training.engine import ConceptParameters

__all__ = ["Parity", "measure_parity"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Parity:
    """How far bfloat16 is from float32.

    Attributes:
        loss: Relative difference of the losses.
        cosine: The cosine of the two gradients of the update; 1 is the same direction.
        norm: Relative difference of their norms.
    """

    loss: float
    cosine: float
    norm: float


def measure_parity(shape: Literal["tiny", "sd1"], device: torch.device, *, rows: int) -> Parity:
    """Compare the first step of a random base in both precisions.

    Args:
        shape: The shape of the base.
        device: Where to compute.
        rows: The rows of the step.
    """
    (loss, gradient), (half_loss, half_gradient) = (
        _first_step(shape, device, rows, dtype) for dtype in (torch.float32, torch.bfloat16)
    )
    norm, half_norm = gradient.norm(), half_gradient.norm()
    return Parity(
        loss=float((half_loss - loss).abs() / loss),
        cosine=float(functional.cosine_similarity(gradient, half_gradient, dim=0)),
        norm=float((half_norm - norm).abs() / norm),
    )


def _first_step(
    shape: Literal["tiny", "sd1"], device: torch.device, rows: int, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    base = random_base(shape, device=device, dtype=dtype)
    config = training_config(base, rows_per_step=rows)
    parameters = ConceptParameters.initial(base, config).to(device)
    with TemporaryDirectory() as folder:
        data = random_data(base, Path(folder), rows=rows)
        step = FirstStep(base, config, data, parameters)
        step.run()
    assert step.loss is not None
    assert parameters.update.grad is not None
    return step.loss.double().cpu(), parameters.update.grad.double().cpu().flatten()
