"""What one training step costs at a shape, counted and not timed: FLOPs and bytes to reduce.

Both recipes run on the ``meta`` device, where tensors have shapes and no values, under torch's own
counter of matrix products and convolutions (a multiplication and an addition are two). So any
machine counts the same, in seconds, and no weights are needed. Stable Diffusion 1 is counted by
running this project's trainer and the stock recipe themselves; for XL, which has two text encoders
and conditions on sizes, the same work is put together from its parts in
`benchmarks.training.flops_xl`.
"""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import torch
from torch import Tensor, nn

from benchmarks.common.random_bases import random_base
from benchmarks.recipes.case import random_data, training_config
from benchmarks.recipes.first_step import FirstStep
from benchmarks.recipes.stock import StockBatch, StockRecipe
from cdcore.model.base import Base
from cdcore.training.cost_estimate import counted_flops
from cdcore.training.engine import ConceptParameters

__all__ = ["StepCost", "our_step", "reduced_bytes", "stock_step"]

_FLOAT32_BYTES = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class StepCost:
    """What one step costs, over all its rows.

    Attributes:
        flops: Forward and backward, of everything.
        autoencoder: The part of these that encodes pictures.
        text_encoder: The part of these that encodes prompts; the rest is the U-Net with its text
            keys and values.
        reduced_bytes: Gradients in float32 that several workers would sum.
    """

    flops: int
    autoencoder: int
    text_encoder: int
    reduced_bytes: int


def reduced_bytes(*parameters: Tensor) -> int:
    """Return the bytes of gradients that have these shapes, in float32."""
    return _FLOAT32_BYTES * sum(parameter.numel() for parameter in parameters)


def our_step(shape: Literal["tiny", "sd1"]) -> StepCost:
    """Count a step of this project's trainer; its rows have been prepared before."""
    base = random_base(shape, device="meta")
    config = training_config(base)
    layout = base.seam.layout
    with torch.device("meta"):
        parameters = ConceptParameters(torch.zeros(layout.shape), torch.zeros(1, layout.text_width))
    with TemporaryDirectory() as folder:
        data = random_data(base, Path(folder))
        step = FirstStep(base, config, data, parameters)
        flops = counted_flops(step.run)
    return StepCost(
        flops=flops,
        autoencoder=0,
        text_encoder=_text_flops(base, config.target_rows),
        reduced_bytes=reduced_bytes(*parameters.parameters()),
    )


def stock_step(shape: Literal["tiny", "sd1"]) -> StepCost:
    """Count a step of the stock recipe."""
    base = random_base(shape, device="meta")
    config = training_config(base)
    recipe = StockRecipe(base, config, [], [])
    _, *cells = base.latent_shape
    side, rows = base.profile.resolution, config.rows_per_step
    with torch.device("meta"):
        batch = StockBatch(
            pixels=torch.zeros(rows, 3, side, side),
            valid_mask=torch.ones(config.target_rows, 1, *cells),
            ids=torch.zeros(rows, base.text_encoder.max_tokens, dtype=torch.long),
        )
    return StepCost(
        flops=counted_flops(lambda: recipe.loss(batch).backward()),
        autoencoder=counted_flops(lambda: base.encode_pixels(batch.pixels)),
        text_encoder=_text_flops(base, rows),
        reduced_bytes=reduced_bytes(*recipe.trained),
    )


def _text_flops(base: Base, prompts: int) -> int:
    """Count encoding prompts, and the way back to the embedding of a token."""
    encoder = base.text_encoder
    with torch.device("meta"):
        row = nn.Parameter(torch.zeros(base.seam.layout.text_width))

    def work() -> None:
        encoder.encode(["<mycat>"] * prompts, {"<mycat>": row}).sum().backward()

    return counted_flops(work)
