"""Where a base model computes, and in what precision."""

from typing import Literal

import torch

from cdcore.errors import ConfigError

__all__ = ["DeviceName", "chosen_device", "compute_dtype"]

DeviceName = Literal["auto", "cpu", "cuda"]


def chosen_device(name: DeviceName = "auto") -> str:
    """Return the torch device of a name; "auto" is the CUDA device where there is one.

    Raises:
        ConfigError: There is no CUDA device, but one is asked for.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("--device cuda, but this machine has none; give --device cpu")
    return name


def compute_dtype(device: torch.device | str) -> torch.dtype:
    """Return what a base computes in on a device: bfloat16 on a GPU, else float32."""
    return torch.bfloat16 if torch.device(device).type == "cuda" else torch.float32
