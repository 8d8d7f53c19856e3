"""A network that is a formula, and the noise schedule of Stable Diffusion 1, to sample with."""

from typing import Any, get_args

import torch
from diffusers import DDIMScheduler
from torch import Tensor

from cdcore.model.noise_schedule import NoiseSchedule, PredictionType
from cdcore.model.profiles import SamplerName
from cdcore.sampling.rows import Row, sample_rows
from cdcore.sampling.solvers import Plan

__all__ = [
    "KINDS",
    "SAMPLERS",
    "SD1",
    "SHAPE",
    "network",
    "network_of_any",
    "result",
    "sd1",
    "their_ddim",
]

SHAPE = (4, 8, 8)


KINDS = get_args(PredictionType)


SAMPLERS = get_args(SamplerName)


SD1 = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
}


def their_ddim(prediction_type: str) -> Any:
    return DDIMScheduler(
        **SD1,
        prediction_type=prediction_type,
        timestep_spacing="leading",
        steps_offset=1,
        set_alpha_to_one=False,
        clip_sample=False,
    )


def sd1(prediction_type: PredictionType = "epsilon") -> NoiseSchedule:
    table = their_ddim(prediction_type).alphas_cumprod.double()
    return NoiseSchedule(alphas_cumprod=table, prediction_type=prediction_type)


def network(z: Tensor, timesteps: Tensor) -> Tensor:
    """A fixed nonlinear stand-in; each row's output depends on that row only.

    The first term is about right for unit normal latents, so states keep a natural size.
    """
    t = timesteps.to(z.dtype).reshape(-1, *[1] * (z.ndim - 1)) / 1000
    return torch.sin(1.5 * t) * z + 0.3 * torch.tanh(z + z.roll(1, -1) + torch.cos(5 * t))


def network_of_any(z: Tensor, timesteps: Tensor, active: tuple[int, ...]) -> Tensor:
    return network(z, timesteps)


def result(schedule: NoiseSchedule, row_plan: Plan, seed: int) -> Tensor:
    return sample_rows(schedule, [Row.start(row_plan, seed, SHAPE)], network_of_any)[0]
