"""The autoencoder's stage: it learns to give crops back from their latents."""

import random
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from cdcore.pocket.pretraining.album import Album
from cdcore.pocket.pretraining.stage import Stage, open_autoencoder, save_half

__all__ = ["AutoencoderStage"]

_KL_WEIGHT = 2e-5


class AutoencoderStage(Stage):
    """Trains the autoencoder on crops of drawings."""

    name = "autoencoder"
    steps = 4000
    batch = 64
    crop = 32

    def __init__(
        self, folder: Path, work: Path, album: Album, rng: random.Random, device: torch.device
    ) -> None:
        super().__init__(album, rng, device)
        self.module = open_autoencoder(folder).to(device, memory_format=torch.channels_last)

    def loss(self, step: int) -> Tensor:
        """Draw a batch and return its loss."""
        pixels = self._crops()
        posterior = self.module.encode(pixels).latent_dist
        decoded = self.module.decode(posterior.sample(self.generator)).sample
        divergence = posterior.kl().mean() / posterior.mean[0].numel()
        loss: Tensor = functional.mse_loss(decoded.float(), pixels) + _KL_WEIGHT * divergence
        return loss

    def _crops(self) -> Tensor:
        """Draw a part of each of many pictures, which vary more than fewer whole ones."""
        pixels = self.draw_pixels(self.batch)[1]
        last = pixels.shape[-1] - self.crop
        corners = torch.randint(last + 1, (self.batch, 2), generator=self.generator).tolist()
        return torch.stack(
            [
                picture[:, top : top + self.crop, left : left + self.crop]
                for picture, (top, left) in zip(pixels, corners, strict=True)
            ]
        ).contiguous(memory_format=torch.channels_last)

    @torch.no_grad()
    def save(self, module: Any, folder: Path) -> None:
        """Write ``module`` to ``folder`` in half precision."""
        pixels = self.draw_pixels(256)[1]
        posteriors = [module.encode(part).latent_dist for part in pixels.split(32)]
        latents = torch.cat([posterior.sample(self.generator) for posterior in posteriors])
        module.register_to_config(scaling_factor=round(1 / latents.std().item(), 4))
        save_half(module, folder / "vae")
