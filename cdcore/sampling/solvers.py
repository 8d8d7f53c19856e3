"""The samplers: plans of timesteps and coefficients, and one step of a row.

Every solver here is, per step, linear in the row's own state:

    z_next = a * z + b * x0 + c * x0_previous + d * noise

with coefficients that depend only on the noise schedule. They are worked out once, in float64, as
a `Plan`; a step is then the same arithmetic for every row.

"ddim" is Song et al. 2021 (arXiv 2010.02502), eq. 12 and 16; its ``eta`` of 1 is ancestral DDPM
sampling. "dpm++" is DPM-Solver++ 2M, Lu et al. 2022 (arXiv 2211.01095), algorithm 2. Notation:
``alpha`` and ``sigma`` as in `cdcore.model.noise_schedule`, ``lambda = log(alpha / sigma)``.
"""

import math
from dataclasses import dataclass
from typing import get_args

import numpy as np
import torch
from torch import Tensor

from cdcore.errors import ConfigError
from cdcore.model.noise_schedule import NoiseSchedule
from cdcore.model.profiles import SamplerName

__all__ = ["Plan", "advance", "plan"]

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
