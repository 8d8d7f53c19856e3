"""How much of a latent is signal and how much is noise at each timestep.

With ``abar = alphas_cumprod[t]``, ``alpha = sqrt(abar)`` and ``sigma = sqrt(1 - abar)``:

    z_t   = alpha * latents + sigma * noise     Ho et al. 2020 (arXiv 2006.11239), eq. 4
    noise                                       what an "epsilon" network predicts
    v     = alpha * noise - sigma * latents     what a "v_prediction" network predicts:
                                                Salimans and Ho 2022 (arXiv 2202.00512), app. D

Every function takes one timestep per row, so rows of one batch need not agree on theirs.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, get_args

import torch
from torch import Tensor

from cdcore.errors import ConfigError

__all__ = ["NoiseSchedule", "PredictionType"]

PredictionType = Literal["epsilon", "v_prediction"]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class NoiseSchedule:
    """The noise levels a base model was trained on, and what it predicts.

    The methods compute in float32, or in float64 when the latents are float64, and return that
    type; half precision inputs are raised to it. Tensors and timesteps share one device. Nothing
    waits for the device, except the first call on it, which uploads the table.

    Attributes:
        alphas_cumprod: Share of signal power per timestep, shape (T,), float64 on the CPU,
            strictly falling, each value strictly between 0 and 1.
        prediction_type: ``"epsilon"`` (the noise) or ``"v_prediction"`` (the velocity).

    Raises:
        ConfigError: The table or the prediction type is not as described.
    """

    alphas_cumprod: Tensor
    prediction_type: PredictionType
    _tables: dict[tuple[torch.device, torch.dtype], Tensor] = field(
        default_factory=dict, init=False, repr=False
    )

    def __post_init__(self) -> None:
        _check_table(self.alphas_cumprod)
        if self.prediction_type not in get_args(PredictionType):
            raise ConfigError(
                f"prediction_type is {self.prediction_type!r}, expected one of "
                f"{', '.join(get_args(PredictionType))}; other bases are not supported"
            )

    def __reduce__(self) -> tuple[Callable[[], "NoiseSchedule"], tuple[()]]:
        # The cached tables stay behind: the reader may have no such device.
        rebuild = partial(
            NoiseSchedule,
            alphas_cumprod=self.alphas_cumprod,
            prediction_type=self.prediction_type,
        )
        return rebuild, ()

    def add_noise(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Noisy latents ``z_t`` of clean ones.

        Args:
            latents: Clean latents, shape (B, ...).
            noise: Standard normal noise, same shape.
            timesteps: Shape (B,), int64 in [0, T).

        Returns:
            ``z_t``, same shape.

        Raises:
            RuntimeError: A timestep is out of range; a GPU reports it later, in its own way.
        """
        alpha, sigma = self._levels(latents, timesteps)
        return alpha * latents + sigma * noise

    def target(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """What the network should predict for ``add_noise(latents, noise, timesteps)``.

        Args:
            latents: Clean latents, shape (B, ...).
            noise: The noise that was added, same shape.
            timesteps: Shape (B,), int64 in [0, T).

        Returns:
            The noise or the velocity, same shape.

        Raises:
            RuntimeError: As for `add_noise`.
        """
        if self.prediction_type == "epsilon":
            return noise.to(_working_dtype(latents))
        alpha, sigma = self._levels(latents, timesteps)
        return alpha * noise - sigma * latents

    def original(self, prediction: Tensor, z_t: Tensor, timesteps: Tensor) -> Tensor:
        """Clean latents (x0) that a prediction implies; the inverse of `add_noise` and `target`.

        Args:
            prediction: Output of the network, shape (B, ...).
            z_t: The noisy latents the network saw, same shape.
            timesteps: Shape (B,), int64 in [0, T).

        Returns:
            The estimate of the clean latents, same shape.

        Raises:
            RuntimeError: As for `add_noise`.
        """
        alpha, sigma = self._levels(z_t, timesteps)
        if self.prediction_type == "epsilon":
            return (z_t - sigma * prediction) / alpha
        return alpha * z_t - sigma * prediction

    def _levels(self, latents: Tensor, timesteps: Tensor) -> tuple[Tensor, Tensor]:
        table = self._table(latents.device, _working_dtype(latents))
        levels = table.index_select(1, timesteps).view(2, -1, *[1] * (latents.ndim - 1))
        return levels[0], levels[1]

    def _table(self, device: torch.device, dtype: torch.dtype) -> Tensor:
        table = self._tables.get((device, dtype))
        if table is None:
            # A table first made by a sampler in inference mode must still serve training.
            with torch.inference_mode(False):
                levels = torch.stack([self.alphas_cumprod.sqrt(), (1 - self.alphas_cumprod).sqrt()])
                table = levels.to(device=device, dtype=dtype)
            self._tables[device, dtype] = table
        return table


def _working_dtype(latents: Tensor) -> torch.dtype:
    return torch.promote_types(latents.dtype, torch.float32)


def _check_table(table: Tensor) -> None:
    if (
        table.ndim != 1
        or table.numel() == 0
        or table.dtype != torch.float64
        or table.device.type != "cpu"
    ):
        raise ConfigError(
            f"alphas_cumprod has shape {tuple(table.shape)}, {table.dtype} on {table.device}; "
            "expected (T,), float64 on the CPU: convert the scheduler's table first"
        )
    inside = bool(((table > 0) & (table < 1)).all())
    if not inside or bool((table.diff() >= 0).any()):
        raise ConfigError(
            f"alphas_cumprod runs from {table[0].item():g} to {table[-1].item():g}; expected "
            "values that fall strictly, all between 0 and 1. A table that ends in exactly 0 "
            "(zero terminal SNR) needs a small last value such as 2**-24"
        )
