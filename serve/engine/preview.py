"""Pictures on the way: a linear map from a latent cell to a colour.

The latents of Stable Diffusion's autoencoder are nearly linear in the colour of the cell they stand
for. The map is fitted once for each base: least squares of decoded pixels, averaged over each cell,
on latents that the base itself has sampled. It costs a matrix product of C x 3 where decoding
costs as much as a step or more; the finished picture still comes from the autoencoder.
"""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional

from cdcore.model.base import Base
from cdcore.sampling.pipeline import condition
from cdcore.sampling.rows import Row, sample_rows
from cdcore.sampling.solvers import plan

__all__ = ["PreviewMap"]

_PICTURES = 8
_STEPS = 8


@dataclass(frozen=True, slots=True, eq=False)
class PreviewMap:
    """``pixels = weight @ latents + bias`` for each cell.

    Attributes:
        weight: (3, C), float32.
        bias: (3,), float32.
    """

    weight: Tensor
    bias: Tensor

    @classmethod
    def fit(cls, latents: Tensor, pixels: Tensor) -> Self:
        """Fit the map.

        Args:
            latents: Scaled latents, (B, C, h, w).
            pixels: What they decode to, (B, 3, H, W) in [-1, 1]; H and W are multiples of h and w.

        Returns:
            The map, on the device of ``latents``.
        """
        colours = functional.adaptive_avg_pool2d(pixels, (latents.shape[-2], latents.shape[-1]))
        # In float64 on the CPU: four unknowns and a constant, whatever the device can do.
        given = latents.movedim(1, -1).flatten(0, -2).double().cpu()
        wanted = colours.movedim(1, -1).flatten(0, -2).double().cpu()
        given = torch.cat([given, torch.ones(len(given), 1, dtype=given.dtype)], dim=1)
        solution = torch.linalg.lstsq(given, wanted, driver="gelsd").solution.T
        solution = solution.float().to(latents.device)
        return cls(solution[:, :-1].contiguous(), solution[:, -1].contiguous())

    @classmethod
    @torch.no_grad()
    def of_base(cls, base: Base) -> Self:
        """Fit the map of a base to a few pictures that it samples from the empty prompt."""
        schedule, profile = base.noise_schedule, base.profile
        text_kv = condition(base, "")
        steps = plan(schedule, profile.sampler, _STEPS)
        rows = [Row.start(steps, seed, base.latent_shape, base.device) for seed in range(_PICTURES)]

        def predict(z: Tensor, timesteps: Tensor, active: tuple[int, ...]) -> Tensor:
            kept = tuple(part.expand(len(active), *part.shape[1:]) for part in text_kv)
            return base.seam.predict(z, timesteps, kept)

        latents = sample_rows(schedule, rows, predict)
        pixels = [base.decode_latents(one) for one in latents.split(1)]
        return cls.fit(latents, torch.cat(pixels))

    def render(self, latents: Tensor) -> Tensor:
        """Return the colours (3, h, w) in [-1, 1] of latents (C, h, w), float32 on the CPU."""
        colours = torch.einsum("rc,chw->rhw", self.weight, latents.float())
        return (colours + self.bias[:, None, None]).clamp(-1, 1).cpu()
