"""A base model: a pretrained text-to-image model in the parts that the method needs.

`cdcore.model.loading` reads one from disk; what is here computes with the parts.
"""

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from cdcore.model.device import exact_float32
from cdcore.model.families import POCKET, Family
from cdcore.model.noise_schedule import NoiseSchedule
from cdcore.model.profiles import Profile
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
    """

    name: str
    fingerprint: str
    family: Family
    profile: Profile
    text_encoder: TextEncoder
    autoencoder: Any = field(repr=False)
    seam: Seam
    noise_schedule: NoiseSchedule

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


def fingerprint(stack: Tensor, table: Tensor) -> str:
    """Return what tells bases apart: SHA-256 of both in half precision, 64 hex digits.

    Args:
        stack: W0, (D, d), as it was read or in float16; a cast in between would make it another's.
        table: The token table, (vocabulary, d), likewise.
    """
    digest = hashlib.sha256()
    for tensor in (stack, table):
        half = tensor.detach().to("cpu", torch.float16).contiguous()
        digest.update(json.dumps(list(half.shape)).encode())
        digest.update(half.numpy().tobytes())
    return digest.hexdigest()
