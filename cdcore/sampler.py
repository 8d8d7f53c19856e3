"""From noise to latents, each row of a batch on its own plan.

Every solver here is, per step, linear in the row's own state:

    z_next = a * z + b * x0 + c * x0_previous + d * noise

with coefficients that depend only on the noise schedule. They are worked out once, in float64, as
a `Plan`; a step is then the same arithmetic for every row. So one batch mixes solvers, step counts
and timesteps at no cost, and rows join and leave at any step.

"ddim" is Song et al. 2021 (arXiv 2010.02502), eq. 12 and 16; its ``eta`` of 1 is ancestral DDPM
sampling. "dpm++" is DPM-Solver++ 2M, Lu et al. 2022 (arXiv 2211.01095), algorithm 2. Notation:
``alpha`` and ``sigma`` as in `cdcore.noise_schedule`, ``lambda = log(alpha / sigma)``.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Self, get_args

import numpy as np
import torch
from torch import Tensor

from cdcore.errors import ConfigError
from cdcore.noise_schedule import NoiseSchedule

__all__ = [
    "Plan",
    "Predict",
    "PredictRows",
    "Row",
    "RowNoise",
    "SamplerName",
    "advance",
    "guided",
    "plan",
    "sample_rows",
    "tick",
]

SamplerName = Literal["ddim", "dpm++"]

Predict = Callable[[Tensor, Tensor], Tensor]
"""``predict(z, timesteps)``: network output (B, ...) for float32 ``z`` (B, ...), int64 (B,)."""

PredictRows = Callable[[Tensor, Tensor, tuple[int, ...]], Tensor]
"""A `Predict` that is also told which of the caller's rows, by position, are in the batch."""

_Coefficients = tuple[float, float, float, float]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Plan:
    """The steps one row takes from noise to latents.

    Attributes:
        timesteps: The timestep the network is asked about at each step, falling, length S.
        coefficients: ``a, b, c, d`` of each step, shape (S, 4), float64 on the CPU.
    """

    timesteps: tuple[int, ...]
    coefficients: Tensor


def plan(schedule: NoiseSchedule, sampler: SamplerName, steps: int, *, eta: float = 0.0) -> Plan:
    """Work out the steps of a solver; cheap enough to repeat for every row.

    "ddim" takes evenly spaced timesteps, shifted by one, and stops at the noise level of timestep
    0. "dpm++" takes rounded evenly spaced timesteps from T - 1 and stops at no noise; its first and
    last steps are first order. These are the settings Stable Diffusion 1 is used with.

    Args:
        schedule: The base model's noise schedule.
        sampler: ``"ddim"`` or ``"dpm++"``.
        steps: Number of network evaluations, in [1, T].
        eta: Share of fresh noise per step, in [0, 1]; "ddim" only.

    Raises:
        ConfigError: An argument is not as described.
    """
    count = schedule.alphas_cumprod.numel()
    if sampler not in get_args(SamplerName):
        raise ConfigError(
            f"sampler is {sampler!r}, expected one of {', '.join(get_args(SamplerName))}"
        )
    if not 1 <= steps <= count:
        raise ConfigError(f"steps is {steps}, expected 1 to {count} for this base")
    if not 0 <= eta <= 1:
        raise ConfigError(f"eta is {eta}, expected 0 (no fresh noise) to 1 (ancestral)")
    if sampler == "ddim":
        return _ddim(schedule, steps, eta)
    if eta != 0:
        raise ConfigError(f"eta is {eta}, but dpm++ adds no noise; set eta to 0 or use ddim")
    return _dpm(schedule, steps)


def advance(
    z: Tensor, x0: Tensor, x0_previous: Tensor, coefficients: Tensor, noise: Tensor | None
) -> Tensor:
    """Take one step of every row.

    Args:
        z: States, shape (B, ...).
        x0: Estimates of the clean latents at ``z``, same shape.
        x0_previous: The estimates of the step before, same shape; zeros at a row's first step.
        coefficients: ``a, b, c, d`` per row, shape (B, 4), on the device of ``z``.
        noise: Standard normal noise, same shape, or None for none. A row whose ``d`` is 0 does not
            depend on it, whatever it holds.

    Returns:
        The next states, same shape.
    """
    columns = coefficients.to(z.dtype).T.reshape(4, -1, *[1] * (z.ndim - 1))
    a, b, c, d = columns.unbind()
    # Products and sums stay separate operations: fused ones may round by position in memory, and a
    # row's bits must not depend on its slot.
    following = a * z + b * x0 + c * x0_previous
    if noise is None:
        return following
    return torch.where(d == 0, following, following + d * noise)


def guided(unconditional: Tensor, conditional: Tensor, guidance_scale: Tensor) -> Tensor:
    """Classifier-free guidance, Ho and Salimans 2022 (arXiv 2207.12598), a scale for each row.

    Args:
        unconditional: Predictions for the empty or negative prompt, shape (B, ...).
        conditional: Predictions for the prompt, same shape.
        guidance_scale: Shape (B,); 1 returns ``conditional`` exactly.

    Returns:
        ``unconditional + guidance_scale * (conditional - unconditional)``, at least float32.
    """
    dtype = torch.promote_types(conditional.dtype, torch.float32)
    towards = conditional.to(dtype)
    excess = (guidance_scale.to(dtype) - 1).view(-1, *[1] * (conditional.ndim - 1))
    # Written from the conditional end, so that a scale of 1 costs no rounding.
    return towards + excess * (towards - unconditional.to(dtype))


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


def _ddim(schedule: NoiseSchedule, steps: int, eta: float) -> Plan:
    count = schedule.alphas_cumprod.numel()
    stride = count // steps
    # At steps == T the shift by one would point past the table.
    shift = min(1, count - 1 - (steps - 1) * stride)
    timesteps = tuple(i * stride + shift for i in reversed(range(steps)))
    power: list[float] = schedule.alphas_cumprod.tolist()
    return _assembled(
        timesteps, [_ddim_step(power[t], power[max(t - stride, 0)], eta) for t in timesteps]
    )


def _ddim_step(now: float, then: float, eta: float) -> _Coefficients:
    """One DDIM step between two values of ``alphas_cumprod``; eq. 12 with eq. 16's sigma."""
    fresh = eta * math.sqrt((1 - then) / (1 - now) * (1 - now / then))
    # Rounding can push the difference below 0 when nearly all noise is fresh.
    kept = math.sqrt(max(0.0, 1 - then - fresh**2)) / math.sqrt(1 - now)
    return kept, math.sqrt(then) - kept * math.sqrt(now), 0.0, fresh


def _dpm(schedule: NoiseSchedule, steps: int) -> Plan:
    count = schedule.alphas_cumprod.numel()
    # Starting at -1 when steps == T keeps the rounded timesteps distinct; the first is left out.
    spaced = np.linspace(min(0, count - 1 - steps), count - 1, steps + 1).round()
    timesteps = tuple(int(t) for t in spaced[:0:-1])
    table: list[float] = schedule.alphas_cumprod.tolist()
    power = [table[t] for t in timesteps]
    return _assembled(
        timesteps,
        [_dpm_step(power[i - 1] if i else None, power[i], power[i + 1]) for i in range(steps - 1)]
        # The limit of a first-order step as sigma goes to 0: the estimate itself.
        + [(0.0, 1.0, 0.0, 0.0)],
    )


def _dpm_step(before: float | None, now: float, then: float) -> _Coefficients:
    """One DPM-Solver++ step between ``alphas_cumprod`` values; first order without ``before``."""
    shrink = math.sqrt((1 - then) / (1 - now))
    pull = math.sqrt(then) - shrink * math.sqrt(now)
    if before is None:
        return shrink, pull, 0.0, 0.0
    # Half of 1 / r, with r the ratio of the last step's length in lambda to this one's.
    reach = 0.5 * (_lambda(then) - _lambda(now)) / (_lambda(now) - _lambda(before))
    return shrink, pull * (1 + reach), -pull * reach, 0.0


def _lambda(power: float) -> float:
    return 0.5 * (math.log(power) - math.log1p(-power))


def _assembled(timesteps: tuple[int, ...], coefficients: list[_Coefficients]) -> Plan:
    return Plan(timesteps=timesteps, coefficients=torch.tensor(coefficients, dtype=torch.float64))


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
