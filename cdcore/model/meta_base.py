"""The outline of a base: its tokenizer and its shapes, without its weights.

It is built from the base's own configuration files on the ``meta`` device, where tensors have
shapes and no values: in seconds, for a base of any size, and a hub is asked for kilobytes only. A
checkpoint in one file has the shapes that its family was published with.
"""

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
)

from cdcore.errors import BaseModelError, first_line
from cdcore.model.base import Base
from cdcore.model.checkpoint_header import checkpoint_path, read_checkpoint_header
from cdcore.model.configuration import read_configuration
from cdcore.model.location import EXPECTED_BASES, named_folder
from cdcore.model.parts import Parts, put_together
from cdcore.model.single_file import checkpoint_scheduler, checkpoint_tokenizers
from cdcore.model.unfit_bases import check_configuration

__all__ = ["outline_base"]


def outline_base(name: str, *, dtype: torch.dtype = torch.float32) -> Base:
    """Return a base of the right shapes on the ``meta`` device.

    Args:
        name: As for `cdcore.model.loading.load_base`.
        dtype: As for `cdcore.model.loading.load_base`.

    Returns:
        The base; it has no fingerprint, and nothing that it computes has values.

    Raises:
        BaseModelError: There is no such base, a configuration file cannot be read, or no concept
            can be taught to it.
    """
    try:
        parts = _parts(name)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise BaseModelError(
            f"the configuration of base {name!r} cannot be read: {first_line(error)}; "
            f"{EXPECTED_BASES}"
        ) from error
    return put_together(name, parts, device=None, dtype=dtype)


def _parts(name: str) -> Parts:
    path = checkpoint_path(name)
    if path is not None:
        header = read_checkpoint_header(name, path)
        tokenizers = checkpoint_tokenizers(path, header)
        return _shaped_parts(header.folder, tokenizers, checkpoint_scheduler(header))
    folder = named_folder(name, with_weights=False)
    check_configuration(name, read_configuration(folder))
    tokenizers = tuple(
        CLIPTokenizer.from_pretrained(folder, subfolder=part)
        for part in ("tokenizer", "tokenizer_2")
        if part == "tokenizer" or (folder / part).is_dir()
    )
    scheduler = DDPMScheduler.from_pretrained(folder, subfolder="scheduler")
    return _shaped_parts(folder, tokenizers, scheduler)


def _shaped_parts(folder: Path, tokenizers: tuple[Any, ...], scheduler: Any) -> Parts:
    configuration = read_configuration(folder)
    kinds = (("text_encoder", CLIPTextModel), ("text_encoder_2", CLIPTextModelWithProjection))
    with torch.device("meta"):
        return Parts(
            configuration=configuration,
            tokenizers=tokenizers,
            text_models=tuple(
                kind(CLIPTextConfig.from_pretrained(folder, subfolder=part))
                for (part, kind), _ in zip(kinds, tokenizers, strict=False)
            ),
            autoencoder=_shaped(AutoencoderKL, folder, "vae"),
            unet=_shaped(UNet2DConditionModel, folder, "unet"),
            scheduler=scheduler,
        )


def _shaped(kind: Any, source: Path, subfolder: str) -> Any:
    if not (source / subfolder / "config.json").is_file():
        raise FileNotFoundError(f"{source / subfolder} has no config.json")
    return kind.from_config(kind.load_config(source, subfolder=subfolder))
