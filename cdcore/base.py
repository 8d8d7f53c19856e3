"""A base model: a pretrained text-to-image model in the parts that the method needs.

Only this module and ``cdcore.pocket`` know the model libraries.
"""

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from safetensors import SafetensorError
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from cdcore.base_folder import base_folder
from cdcore.errors import BaseModelError
from cdcore.noise_schedule import NoiseSchedule
from cdcore.profiles import PROFILES, Profile, profile_of
from cdcore.quiet_loading import quiet_loading
from cdcore.seam import KVLayout, Seam
from cdcore.text_encoder import TextEncoder

__all__ = ["ALIASES", "POCKET_FOLDER", "Base", "fingerprint", "load_base"]

POCKET_FOLDER = Path(__file__).parent / "pocket" / "weights"
"""Where the shipped pocket base lies."""

ALIASES = {
    "sd1.4": "CompVis/stable-diffusion-v1-4",
    "sd1.5": "stable-diffusion-v1-5/stable-diffusion-v1-5",
}
"""Short names of bases on the model hub."""

_DECODE_BATCH = 16
_BYTE_TOKENS = 512
"""The smallest vocabulary: each byte inside and at the end of a word."""


@dataclass(frozen=True, kw_only=True)
class Base:
    """A base model on one device; nothing in it is ever changed.

    Attributes:
        name: As the user named it.
        fingerprint: Of `fingerprint`, the same on every device and in every dtype.
        profile: Default settings.
        text_encoder: Prompts to features.
        autoencoder: diffusers ``AutoencoderKL``.
        seam: The U-Net.
        noise_schedule: Of the training.
    """

    name: str
    fingerprint: str
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
        return self.profile is PROFILES["pocket"]

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


def load_base(
    name: str, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> Base:
    """Load a base model.

    Args:
        name: ``pocket``, an alias, a diffusers folder, or a hub id.
        device: Where to put it.
        dtype: What the U-Net and the text encoder compute in; the autoencoder stays in float32.

    Raises:
        BaseModelError: There is no such base, or it cannot be read.
    """
    if name == "pocket" and not (POCKET_FOLDER / "unet").is_dir():
        raise BaseModelError(
            f"the weights of the pocket base are missing from {POCKET_FOLDER}; pretrain them with "
            f"'python rayjobs/pretrain.py --output {POCKET_FOLDER}', or give another --base"
        )
    try:
        # A download shows its progress; the rest is quiet.
        source = POCKET_FOLDER if name == "pocket" else base_folder(ALIASES.get(name, name))
        with quiet_loading():
            tokenizer = CLIPTokenizer.from_pretrained(source, subfolder="tokenizer")
            text_model = _part(CLIPTextModel, source, "text_encoder")
            autoencoder = _part(AutoencoderKL, source, "vae")
            unet = _part(UNet2DConditionModel, source, "unet")
            scheduler = DDPMScheduler.from_pretrained(source, subfolder="scheduler")
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0].rstrip(". ")
        raise BaseModelError(
            f"base {name!r} cannot be loaded: {reason}; expected 'pocket', one of "
            f"{', '.join(ALIASES)}, a diffusers folder or a hub id"
        ) from error
    table = text_model.get_input_embeddings().weight
    # Without its files transformers makes a tokenizer that knows no word.
    if not _BYTE_TOKENS < len(tokenizer) <= len(table):
        raise BaseModelError(
            f"base {name!r}: the tokenizer has {len(tokenizer)} tokens and the text encoder "
            f"{len(table)}; is the tokenizer's folder complete?"
        )
    return Base(
        name=name,
        # Before the cast: rounded twice, the weights would be those of another base.
        fingerprint=fingerprint(KVLayout.of(unet).stack(unet), table),
        profile=_profile(unet),
        text_encoder=TextEncoder(tokenizer, _moved(text_model, device, dtype)),
        autoencoder=autoencoder.to(device).eval().requires_grad_(False),
        seam=Seam(_moved(unet, device, dtype)),
        noise_schedule=NoiseSchedule(
            alphas_cumprod=scheduler.alphas_cumprod.double(),
            prediction_type=scheduler.config.prediction_type,
        ),
    )


def fingerprint(stack: Tensor, table: Tensor) -> str:
    """Return what tells bases apart: SHA-256 of both in half precision, 64 hex digits.

    Args:
        stack: W0, (D, d), in the dtype of the base's file or in float16.
        table: The token table, (vocabulary, d), likewise.
    """
    digest = hashlib.sha256()
    for tensor in (stack, table):
        half = tensor.detach().to("cpu", torch.float16).contiguous()
        digest.update(json.dumps(list(half.shape)).encode())
        digest.update(half.numpy().tobytes())
    return digest.hexdigest()


def _moved(model: Any, device: torch.device | str, dtype: torch.dtype) -> Any:
    # diffusers advises against any cast by `to`, even where no part asks for float32.
    with quiet_loading():
        return model.to(device, dtype)


def _part(kind: Any, source: Path, subfolder: str) -> Any:
    name = "dtype" if kind is CLIPTextModel else "torch_dtype"
    return kind.from_pretrained(source, subfolder=subfolder, **{name: torch.float32})


def _profile(unet: Any) -> Profile:
    return profile_of(unet.config.sample_size)
