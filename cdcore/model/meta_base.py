"""The outline of a base: its tokenizer and its shapes, without its weights.

It is built from the base's own configuration files on the ``meta`` device, where tensors have
shapes and no values: in seconds, for a base of any size, and a hub is asked for kilobytes only.
"""

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from cdcore.errors import BaseModelError, first_line
from cdcore.model.base import Base
from cdcore.model.families import family_of
from cdcore.model.location import ALIASES, named_folder
from cdcore.model.noise_schedule import NoiseSchedule
from cdcore.model.quiet_loading import quiet_loading
from cdcore.model.seam import Seam
from cdcore.model.text_encoder import TextEncoder

__all__ = ["outline_base"]


def outline_base(name: str, *, dtype: torch.dtype = torch.float32) -> Base:
    """Return a base of the right shapes on the ``meta`` device.

    Args:
        name: As for `cdcore.model.loading.load_base`.
        dtype: As for `cdcore.model.loading.load_base`.

    Returns:
        The base; it has no fingerprint, and nothing that it computes has values.

    Raises:
        BaseModelError: There is no such base, or a configuration file cannot be read.
    """
    try:
        source = named_folder(name, with_weights=False)
        tokenizer = CLIPTokenizer.from_pretrained(source, subfolder="tokenizer")
        text_config = CLIPTextConfig.from_pretrained(source, subfolder="text_encoder")
        scheduler = DDPMScheduler.from_pretrained(source, subfolder="scheduler")
        with torch.device("meta"):
            text_model = CLIPTextModel(text_config)
            autoencoder = _shaped(AutoencoderKL, source, "vae")
            unet = _shaped(UNet2DConditionModel, source, "unet")
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        reason = first_line(error)
        raise BaseModelError(
            f"the configuration of base {name!r} cannot be read: {reason}; expected 'pocket', one "
            f"of {', '.join(ALIASES)}, a diffusers folder or a hub id"
        ) from error
    family = family_of(unet.config, text_config)
    with quiet_loading():
        seam = Seam(unet, dtype=dtype)
    return Base(
        name=name,
        fingerprint="",
        family=family,
        profile=family.profile,
        text_encoder=TextEncoder(tokenizer, text_model),
        autoencoder=autoencoder.eval().requires_grad_(False),
        seam=seam,
        noise_schedule=NoiseSchedule(
            alphas_cumprod=scheduler.alphas_cumprod.double(),
            prediction_type=scheduler.config.prediction_type,
        ),
    )


def _shaped(kind: Any, source: Path, subfolder: str) -> Any:
    if not (source / subfolder / "config.json").is_file():
        raise FileNotFoundError(f"{source / subfolder} has no config.json")
    return kind.from_config(kind.load_config(source, subfolder=subfolder))
