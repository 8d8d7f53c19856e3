"""Loading a base: its parts, checked, on a device and in a dtype."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from safetensors import SafetensorError
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from cdcore.errors import BaseModelError, first_line
from cdcore.model.autoencoder import read_autoencoder
from cdcore.model.base import Base
from cdcore.model.checkpoint_header import (
    checkpoint_path,
    published_folder,
    read_checkpoint_header,
)
from cdcore.model.configuration import read_configuration
from cdcore.model.device import DeviceName, Precision, chosen_device, compute_dtype
from cdcore.model.location import EXPECTED_BASES, POCKET_FOLDER, named_folder, variant_of
from cdcore.model.parts import Parts, put_together
from cdcore.model.quiet_loading import quiet_loading
from cdcore.model.single_file import parts_of_file
from cdcore.model.unfit_bases import check_configuration

__all__ = ["load_base", "load_local_base"]


def load_base(
    name: str,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    vae: str | None = None,
) -> Base:
    """Load a base model.

    Args:
        name: ``pocket``, an alias, a diffusers folder, a checkpoint in one file, or a hub id.
        device: Where to put it.
        dtype: What the U-Net computes in. The text encoder and the autoencoder stay in float32:
            what they give is kept in files, which must not depend on where it was computed.
        vae: An autoencoder in place of the base's own: a folder, one file, or a hub id.

    Raises:
        BaseModelError: There is no such base, it cannot be read, or no concept can be taught to it.
    """
    if name == "pocket" and not (POCKET_FOLDER / "unet").is_dir():
        raise BaseModelError(
            f"the weights of the pocket base are missing from {POCKET_FOLDER}; pretrain them with "
            f"'python rayjobs/pretrain.py --output {POCKET_FOLDER}', or give another --base"
        )
    try:
        parts = _parts(name)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise BaseModelError(
            f"base {name!r} cannot be loaded: {first_line(error)}; {EXPECTED_BASES}"
        ) from error
    if vae is not None:
        folder = published_folder(parts.configuration.family)
        parts = replace(parts, autoencoder=read_autoencoder(vae, parts.autoencoder, folder))
    return put_together(name, parts, device=device, dtype=dtype)


def load_local_base(
    name: str,
    *,
    device: DeviceName = "auto",
    precision: Precision = "auto",
    vae: str | None = None,
) -> Base:
    """Load a base on the GPU, with a U-Net in bfloat16, or without a GPU on the CPU in float32.

    Args:
        name: As for `cdcore.model.loading.load_base`.
        device: Another device than that.
        precision: Another precision of the U-Net.
        vae: As for `load_base`.

    Raises:
        BaseModelError: As for `load_base`.
        ConfigError: There is no such device.
    """
    chosen = chosen_device(device)
    return load_base(name, device=chosen, dtype=compute_dtype(chosen, precision), vae=vae)


def _parts(name: str) -> Parts:
    path = checkpoint_path(name)
    if path is not None:
        header = read_checkpoint_header(name, path)
        with quiet_loading():
            return parts_of_file(path, header)
    # A download shows its progress; the rest is quiet.
    return _parts_of_folder(name, named_folder(name))


def _parts_of_folder(name: str, folder: Path) -> Parts:
    configuration = read_configuration(folder)
    check_configuration(name, configuration)
    reads_twice = configuration.family.conditioning == "text_and_size"
    tokenizers = ("tokenizer", "tokenizer_2") if reads_twice else ("tokenizer",)
    with quiet_loading():
        text_models = [_part(CLIPTextModel, folder, "text_encoder")]
        if reads_twice:
            text_models.append(_part(CLIPTextModelWithProjection, folder, "text_encoder_2"))
        return Parts(
            configuration=configuration,
            tokenizers=tuple(
                CLIPTokenizer.from_pretrained(folder, subfolder=part) for part in tokenizers
            ),
            text_models=tuple(text_models),
            autoencoder=_part(AutoencoderKL, folder, "vae"),
            unet=_part(UNet2DConditionModel, folder, "unet"),
            scheduler=DDPMScheduler.from_pretrained(folder, subfolder="scheduler"),
        )


def _part(kind: Any, folder: Path, subfolder: str) -> Any:
    is_text = kind in (CLIPTextModel, CLIPTextModelWithProjection)
    settings = {"dtype" if is_text else "torch_dtype": torch.float32}
    variant = variant_of(folder, subfolder)
    return kind.from_pretrained(folder, subfolder=subfolder, variant=variant, **settings)
