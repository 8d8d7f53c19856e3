"""Loading a base: its parts, checked, on a device and in a dtype."""

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from safetensors import SafetensorError
from transformers import CLIPTextModel, CLIPTokenizer

from cdcore.errors import BaseModelError, first_line
from cdcore.model.base import Base, fingerprint
from cdcore.model.device import chosen_device, compute_dtype
from cdcore.model.families import family_of
from cdcore.model.location import ALIASES, POCKET_FOLDER, named_folder
from cdcore.model.noise_schedule import NoiseSchedule
from cdcore.model.quiet_loading import quiet_loading
from cdcore.model.seam import Seam
from cdcore.model.text_encoder import TextEncoder

__all__ = ["load_base", "load_local_base"]

_BYTE_TOKENS = 512
"""The smallest vocabulary: each byte inside and at the end of a word."""


def load_base(
    name: str, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> Base:
    """Load a base model.

    Args:
        name: ``pocket``, an alias, a diffusers folder, or a hub id.
        device: Where to put it.
        dtype: What the U-Net computes in. The text encoder and the autoencoder stay in float32:
            what they give is kept in files, which must not depend on where it was computed.

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
        source = named_folder(name)
        with quiet_loading():
            tokenizer = CLIPTokenizer.from_pretrained(source, subfolder="tokenizer")
            text_model = _part(CLIPTextModel, source, "text_encoder")
            autoencoder = _part(AutoencoderKL, source, "vae")
            unet = _part(UNet2DConditionModel, source, "unet")
            scheduler = DDPMScheduler.from_pretrained(source, subfolder="scheduler")
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        reason = first_line(error)
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
    family = family_of(unet.config, text_model.config)
    # diffusers advises against any cast by `to`, even where no part asks for float32.
    with quiet_loading():
        seam = Seam(unet, device=device, dtype=dtype)
    return Base(
        name=name,
        fingerprint=fingerprint(seam.read_stack, table),
        family=family,
        profile=family.profile,
        text_encoder=TextEncoder(tokenizer, text_model.to(device)),
        autoencoder=autoencoder.to(device).eval().requires_grad_(False),
        seam=seam,
        noise_schedule=NoiseSchedule(
            alphas_cumprod=scheduler.alphas_cumprod.double(),
            prediction_type=scheduler.config.prediction_type,
        ),
    )


def load_local_base(name: str) -> Base:
    """Load a base on the GPU, with a U-Net in bfloat16, or without a GPU on the CPU in float32.

    Args:
        name: As for `cdcore.model.loading.load_base`.

    Raises:
        BaseModelError: There is no such base, or it cannot be read.
    """
    device = chosen_device()
    return load_base(name, device=device, dtype=compute_dtype(device))


def _part(kind: Any, source: Path, subfolder: str) -> Any:
    name = "dtype" if kind is CLIPTextModel else "torch_dtype"
    return kind.from_pretrained(source, subfolder=subfolder, **{name: torch.float32})
