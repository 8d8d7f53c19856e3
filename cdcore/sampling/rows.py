"""From noise to latents, each row of a batch on its own plan.

A step is the same arithmetic for every row (`cdcore.sampling.solvers`), with coefficients of the
row's own plan. So one batch mixes solvers, step counts and timesteps at no cost, and rows join and
leave at any step.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from cdcore.errors import ConfigError
from cdcore.model.noise_schedule import NoiseSchedule
from cdcore.sampling.solvers import Plan, advance

__all__ = ["Predict", "PredictRows", "Row", "RowNoise", "sample_rows", "tick"]


Predict = Callable[[Tensor, Tensor], Tensor]
"""``predict(z, timesteps)``: network output (B, ...) for float32 ``z`` (B, ...), int64 (B,)."""

PredictRows = Callable[[Tensor, Tensor, tuple[int, ...]], Tensor]
"""A `Predict` that is also told which of the caller's rows, by position, are in the batch."""


class RowNoise:
    """One row's own stream of standard normal noise.

    The k-th draw depends only on the seed, the shape and k: not on the row's slot, its neighbours
    or the device. Drawing first the start and then one tensor per noisy step uses a seed exactly as
    a diffusers pipeline with a seeded CPU generator does.
    """

    def __init__(self, seed: int, shape: Sequence[int]) -> None:
        """Open the stream.

        Args:
            seed: In [0, 2**64).
            shape: Shape of each draw, without a batch dimension.

        Raises:
            ConfigError: The seed is out of range.
        """
        if not 0 <= seed < 2**64:
            raise ConfigError(f"seed is {seed}, expected 0 to 2**64 - 1")
        self._generator = torch.Generator().manual_seed(seed)
        self._shape = tuple(shape)

    def draw(self) -> Tensor:
        """The next tensor of the stream, float32 on the CPU."""
        return torch.randn(self._shape, generator=self._generator, dtype=torch.float32)


@dataclass(kw_only=True, slots=True, eq=False)
class Row:
    """The state of one picture on its way; `tick` moves it.

    Attributes:
        plan: The steps it takes.
        noise: Its noise stream.
        z: Its state, without a batch dimension, float32.
        x0_previous: The last estimate of its clean latents, zeros before the first step; good
            for a preview.
        index: How many steps are done.
    """

    plan: Plan
    noise: RowNoise
    z: Tensor
    x0_previous: Tensor
    index: int = 0

    @classmethod
    def start(
        cls, plan: Plan, seed: int, shape: Sequence[int], device: torch.device | str = "cpu"
    ) -> Self:
        """A row of pure noise.

        Args:
            plan: The steps to take.
            seed: In [0, 2**64).
            shape: Shape of the latents, without a batch dimension.
            device: Where the state lives.

        Raises:
            ConfigError: The seed is out of range.
        """
        noise = RowNoise(seed, shape)
        z = noise.draw().to(device)
        return cls(plan=plan, noise=noise, z=z, x0_previous=torch.zeros_like(z))

    @property
    def finished(self) -> bool:
        """Whether ``z`` holds the clean latents."""
        return self.index >= len(self.plan.timesteps)


def tick(schedule: NoiseSchedule, rows: Sequence[Row], predict: Predict) -> None:
    """Move each row one step on, with one call of the network; no gradients are kept.

    If ``predict`` raises, no row has changed. On a GPU the call returns before the work is done.

    Args:
        schedule: The schedule the rows' plans were made from.
        rows: Unfinished rows of one shape on one device, at least one.
        predict: The network with its conditions in the order of ``rows``; guidance is its business.

    Raises:
        IndexError: A row is finished.
    """
    # From pageable memory these copies leave the host free, and are safe to let go of.
    device = rows[0].z.device
    timesteps = torch.tensor([row.plan.timesteps[row.index] for row in rows])
    timesteps = timesteps.to(device, non_blocking=True)
    coefficients = torch.stack([row.plan.coefficients[row.index] for row in rows])
    is_noisy = (coefficients[:, 3] != 0).tolist()
    with torch.no_grad():
        z = torch.stack([row.z for row in rows])
        coefficients = coefficients.to(z.dtype).to(device, non_blocking=True)
        x0 = schedule.original(predict(z, timesteps).to(z.dtype), z, timesteps)
        x0_previous = torch.stack([row.x0_previous for row in rows])
        noise = _drawn(rows, is_noisy)
        following = advance(z, x0, x0_previous, coefficients, noise)
    for row, z_next, estimate in zip(rows, following.unbind(), x0.unbind(), strict=True):
        row.z, row.x0_previous = z_next, estimate
        row.index += 1


def sample_rows(
    schedule: NoiseSchedule,
    rows: Sequence[Row],
    predict: PredictRows,
    *,
    on_step: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Run rows, of any mix of plans, to their ends in one batch that shrinks as rows finish.

    Args:
        schedule: The schedule the rows' plans were made from.
        rows: Rows of one shape on one device; they are moved in place.
        predict: The network; its third argument holds the positions in ``rows`` of the rows in the
            batch, in order, so that conditions can be picked. It changes only when a row finishes.
        on_step: Called after each step with the steps done and the steps in all.

    Returns:
        Clean latents, shape (N, ...), in the order of ``rows``, float32.

    Raises:
        ConfigError: ``rows`` is empty.
    """
    if not rows:
        raise ConfigError("there are no rows to sample; give at least one")
    total = max(len(row.plan.timesteps) - row.index for row in rows)
    for done in range(1, total + 1):
        active = tuple(i for i, row in enumerate(rows) if not row.finished)

        def predict_active(
            z: Tensor, timesteps: Tensor, active: tuple[int, ...] = active
        ) -> Tensor:
            return predict(z, timesteps, active)

        tick(schedule, [rows[i] for i in active], predict_active)
        if on_step is not None:
            on_step(done, total)
    return torch.stack([row.z for row in rows])


def _drawn(rows: Sequence[Row], is_noisy: Sequence[bool]) -> Tensor | None:
    """Fresh noise for the rows that want it, zeros for the others; None when no row does."""
    if not any(is_noisy):
        return None
    drawn = [
        row.noise.draw() if noisy else torch.zeros(row.z.shape)
        for row, noisy in zip(rows, is_noisy, strict=True)
    ]
    z = rows[0].z
    return torch.stack(drawn).to(z.dtype).to(z.device, non_blocking=True)
