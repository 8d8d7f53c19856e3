"""An autoencoder in place of the base's own, such as one that was tuned for faces or for halves."""

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL

from cdcore.errors import BaseModelError, first_line
from cdcore.model.checkpoint_header import checkpoint_path
from cdcore.model.quiet_loading import quiet_loading

__all__ = ["read_autoencoder"]


def read_autoencoder(source: str, own: Any, configuration: Path | None) -> Any:
    """Read an autoencoder that a base can use in place of its own.

    Args:
        source: A folder of an autoencoder or of a whole base, one file, or a hub id.
        own: The base's own, diffusers ``AutoencoderKL``.
        configuration: A diffusers folder whose autoencoder has the shapes of one file; None takes
            the shapes of the base's own.

    Returns:
        diffusers ``AutoencoderKL`` in float32. One file does not say by what latents are scaled:
        they are scaled as the base's own are.

    Raises:
        BaseModelError: It cannot be read, or its latents are not the base's.
    """
    try:
        with quiet_loading():
            read = _read(source, own, configuration)
    # The hub's client lets errors of its web library through, which are of many families.
    except Exception as error:
        raise BaseModelError(
            f"autoencoder {source!r} cannot be loaded: {first_line(error)}; expected a folder of "
            "an AutoencoderKL or of a whole base, one file (.safetensors), or a hub id"
        ) from error
    for name, got, wanted in (
        ("channels", read.config.latent_channels, own.config.latent_channels),
        ("levels", len(read.config.block_out_channels), len(own.config.block_out_channels)),
        ("scaling factor", read.config.scaling_factor, own.config.scaling_factor),
    ):
        if got != wanted:
            raise BaseModelError(
                f"autoencoder {source!r} has {name} {got}, the base's own {wanted}: its latents "
                "are of another kind; give one that was tuned for a base of this family"
            )
    return read


def _read(source: str, own: Any, configuration: Path | None) -> Any:
    path = checkpoint_path(source)
    if path is None:
        is_base = (Path(source) / "vae").is_dir()
        return AutoencoderKL.from_pretrained(
            source, subfolder="vae" if is_base else None, torch_dtype=torch.float32
        )
    if configuration is not None:
        return AutoencoderKL.from_single_file(
            str(path),
            config=str(configuration),
            subfolder="vae",
            torch_dtype=torch.float32,
            local_files_only=True,
        )
    raise ValueError("it is one file, and the base has no configuration")
