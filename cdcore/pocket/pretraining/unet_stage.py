"""The U-Net's stage: it learns to denoise latents of the world under prompts."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from torch import Tensor

from cdcore.files import replacing
from cdcore.model.noise_schedule import NoiseSchedule
from cdcore.pocket.networks.architecture import build_noise_scheduler, build_unet
from cdcore.pocket.networks.tokenizer import build_tokenizer
from cdcore.pocket.pretraining.album import Album
from cdcore.pocket.pretraining.stage import (
    Stage,
    draw_prompts,
    load_part,
    open_autoencoder,
    open_towers,
    save_half,
    tokenize,
)
from cdcore.pocket.scenes.caption import words
from cdcore.pocket.scenes.scene import Scene

__all__ = ["UnetStage"]

_UNCONDITIONAL_SHARE = 0.1
_MIN_SNR_GAMMA = 1.0

_SMALL_WEIGHT = 6.0
"""How much oftener a picture of a small thing is drawn: its few cells weigh little in the loss."""


class UnetStage(Stage):
    """Trains the U-Net on the latents of drawings."""

    name = "unet"
    steps = 6000
    batch = 48
    average_decay = 0.998

    def __init__(
        self, folder: Path, work: Path, album: Album, rng: random.Random, device: torch.device
    ) -> None:
        super().__init__(album, rng, device)
        self._tokenizer = build_tokenizer(words())
        self._autoencoder = open_autoencoder(folder).to(device).requires_grad_(False)
        self._text_tower = open_towers(folder, self._tokenizer).text_model.to(device)
        unet = load_part(UNet2DConditionModel, folder / "unet") or build_unet()
        self.module = unet.to(device, memory_format=torch.channels_last)
        self._schedule = NoiseSchedule(
            alphas_cumprod=build_noise_scheduler().alphas_cumprod.double(),
            prediction_type="v_prediction",
        )
        self._latents = _latents(self._autoencoder, album, work, folder)
        self._weights = _draw_weights(album.scenes)

    def loss(self, step: int) -> Tensor:
        """Draw a batch and return its loss."""
        indices = torch.multinomial(
            self._weights, self.batch, replacement=True, generator=self.generator
        )
        captions = draw_prompts(self._album, indices, self._rng)
        dropped = torch.rand(self.batch, generator=self.generator) < _UNCONDITIONAL_SHARE
        prompts = ["" if drop else text for drop, text in zip(dropped, captions, strict=True)]
        with torch.no_grad():
            features = self._text_tower(
                input_ids=tokenize(self._tokenizer, prompts, self._device)
            ).last_hidden_state
        return self._denoising_loss(indices, features)

    def _denoising_loss(self, indices: Tensor, features: Tensor) -> Tensor:
        mean, std = self._latents[:, indices].to(self._device).float()
        latents = (mean + std * self._noise(std)) * self._autoencoder.config.scaling_factor
        noise, timesteps = self._noise(latents), self._draw_timesteps()
        noisy = self._schedule.add_noise(latents, noise, timesteps)
        prediction = self.module(noisy, timesteps, features).sample
        target = self._schedule.target(latents, noise, timesteps)
        loss: Tensor = (prediction - target).square().mean()
        return loss

    def _noise(self, like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=self.generator).to(like)

    def _draw_timesteps(self) -> Tensor:
        """Draw a timestep for each picture, the more often the more its loss weighs.

        Hang et al. 2023, "Efficient Diffusion Training via Min-SNR Weighting Strategy", eased: the
        loss of latents is weighted by min(SNR, gamma) + 1, the loss of velocity by that over
        SNR + 1. Drawing by the weight costs no step on what hardly counts. Stratified over the
        batch: every step sees the whole range of noise.
        """
        alphas = self._schedule.alphas_cumprod.float()
        snr = alphas / (1 - alphas)
        weights = (snr.clamp(max=_MIN_SNR_GAMMA) + 1) / (snr + 1)
        within = torch.rand(self.batch, generator=self.generator)
        shares = (torch.arange(self.batch) + within) / self.batch
        cumulated = weights.cumsum(0) / weights.sum()
        drawn = torch.searchsorted(cumulated, shares)
        return drawn.clamp(max=len(cumulated) - 1).to(self._device)

    def save(self, module: Any, folder: Path) -> None:
        """Write ``module`` to ``folder`` in half precision."""
        save_half(module, folder / "unet")
        build_noise_scheduler().save_pretrained(folder / "scheduler")


def _draw_weights(scenes: Sequence[Scene]) -> Tensor:
    return torch.tensor([_SMALL_WEIGHT if scene.framing == "small" else 1.0 for scene in scenes])


@torch.no_grad()
def _latents(autoencoder: AutoencoderKL, album: Album, work: Path, folder: Path) -> Tensor:
    """Return posterior means and deviations of the album, (2, N, C, h, w) float16."""
    weights = (folder / "vae" / "diffusion_pytorch_model.safetensors").stat()
    path = work / f"{album.name}-latents-{weights.st_mtime_ns}.safetensors"
    if not path.exists():
        parts = []
        for indices in torch.arange(len(album)).split(32):
            pixels = album.pixels(indices).to(autoencoder.device)
            posterior = autoencoder.encode(pixels).latent_dist
            parts.append(torch.stack([posterior.mean, posterior.std]).half().cpu())
        with replacing(path) as temporary:
            save_file({"latents": torch.cat(parts, dim=1)}, temporary)
    return load_file(path)["latents"]
