"""A base model: a pretrained text-to-image model in the parts that the method needs.

`cdcore.model.loading` reads one from disk; what is here computes with the parts.
"""

import hashlib
import json
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from cdcore.model.device import exact_float32
from cdcore.model.families import POCKET, Family
from cdcore.model.noise_schedule import NoiseSchedule
from cdcore.model.profiles import Profile, check_resolution
from cdcore.model.seam import Seam
from cdcore.model.text_encoder import TextEncoder

__all__ = ["Base", "fingerprint"]


_DECODE_BATCH = 16


@dataclass(frozen=True, kw_only=True)
class Base:
    """A base model on one device; nothing in it is ever changed.

    Attributes:
        name: What the user calls it.
        fingerprint: What `fingerprint` returns, the same on every device and in every dtype.
        family: The family of its architecture.
        profile: Default settings.
        text_encoder: Prompts to features.
        autoencoder: diffusers ``AutoencoderKL``.
        seam: The U-Net.
        noise_schedule: The noise levels that it was trained on.
        zeroes_empty_negatives: Whether guidance leads away from zeros, in place of features, where
            the negative prompt is empty.
    """

    name: str
    fingerprint: str
    family: Family
    profile: Profile
    text_encoder: TextEncoder
    autoencoder: Any = field(repr=False)
    seam: Seam
    noise_schedule: NoiseSchedule
    zeroes_empty_negatives: bool = False

    @property
    def device(self) -> torch.device:
        """Where the base lives."""
        return self.seam.device

    @property
    def is_pocket(self) -> bool:
        """Whether this is a pocket base, whose world has a judge."""
        return self.family.name == POCKET.name

    @property
    def latent_factor(self) -> int:
        """Pixels per latent cell and axis."""
        return int(2 ** (len(self.autoencoder.config.block_out_channels) - 1))

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """(C, h, w) of a latent at the profile's resolution."""
        side = self.profile.resolution // self.latent_factor
        return int(self.autoencoder.config.latent_channels), side, side

    def pooled_with_sizes(
        self, pooled: Tensor | None, size: tuple[int, int] | None = None
    ) -> tuple[Tensor, Tensor] | None:
        """Return what `Seam.project` takes as ``pooled`` for pictures that are whole.

        A picture is told to be as large as it is drawn, and uncropped: (height, width, 0, 0,
        height, width), as in Podell et al. 2023 (arXiv 2307.01952), section 2.2.

        Args:
            pooled: From `TextEncoder.read`, (B, p) or None.
            size: (width, height) of the pictures, pixels; None is the profile's resolution.
        """
        if pooled is None:
            return None
        width, height = size or (self.profile.resolution,) * 2
        ids = torch.tensor([height, width, 0, 0, height, width], dtype=torch.float32)
        return pooled, ids.to(pooled.device).expand(len(pooled), -1)

    def at(self, resolution: int | None) -> "Base":
        """Return the base with another resolution of training and samples; None changes nothing.

        Raises:
            ConfigError: The U-Net cannot draw pictures of that side.
        """
        if resolution is None or resolution == self.profile.resolution:
            return self
        check_resolution(resolution)
        return replace(self, profile=replace(self.profile, resolution=resolution))

    @cached_property
    def autoencoder_fingerprint(self) -> str:
        """SHA-256 of the autoencoder's weights in half precision, 64 hex digits."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.autoencoder.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().to("cpu", torch.float16).contiguous().numpy().tobytes())
        return digest.hexdigest()

    @torch.no_grad()
    @exact_float32()
    def encode_pixels(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the posterior of pixels (B, 3, S, S) in [-1, 1].

        Returns:
            Mean and standard deviation, (B, C, h, w) each, float32, before the scaling factor.
        """
        posterior = self.autoencoder.encode(pixels.to(self._autoencoder_like)).latent_dist
        return posterior.mean.float(), posterior.std.float()

    @torch.no_grad()
    def decode_latents(self, latents: Tensor) -> Tensor:
        """Return the pixels (B, 3, S, S) float32 in [-1, 1] of scaled latents (B, C, h, w)."""
        unscaled = latents / self.autoencoder.config.scaling_factor
        parts = [
            self.autoencoder.decode(part.to(self._autoencoder_like)).sample.float()
            for part in unscaled.split(_DECODE_BATCH)
        ]
        return torch.cat(parts).clamp(-1, 1)

    @property
    def _autoencoder_like(self) -> Tensor:
        parameter: Tensor = next(self.autoencoder.parameters())
        return parameter


def fingerprint(stack: Tensor, *tables: Tensor) -> str:
    """Return what tells bases apart: SHA-256 of them in half precision, 64 hex digits.

    Args:
        stack: W0, (D, d), as it was read or in float16; a cast in between would make it another's.
        tables: The token table of each text encoder, (vocabulary, width), likewise.
    """
    digest = hashlib.sha256()
    for tensor in (stack, *tables):
        half = tensor.detach().to("cpu", torch.float16).contiguous()
        digest.update(json.dumps(list(half.shape)).encode())
        digest.update(half.numpy().tobytes())
    return digest.hexdigest()
