"""Where a base model computes, and in what precision."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch

from cdcore.errors import ConfigError

__all__ = ["DeviceName", "Precision", "chosen_device", "compute_dtype", "exact_float32"]

DeviceName = Literal["auto", "cpu", "cuda"]

Precision = Literal["auto", "bf16", "fp16", "fp32"]
"""What a U-Net computes in; ``auto`` is what `compute_dtype` chooses for the device."""

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}


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


def compute_dtype(device: torch.device | str, precision: Precision = "auto") -> torch.dtype:
    """Return what a U-Net computes in on a device.

    Args:
        device: Where it computes.
        precision: "auto" is bfloat16 on a GPU, else float32.
    """
    if precision != "auto":
        return _DTYPES[precision]
    return torch.bfloat16 if torch.device(device).type == "cuda" else torch.float32


@contextmanager
def exact_float32() -> Iterator[None]:
    """Let convolutions in float32 round as a CPU's do; also a decorator.

    By default torch lets a GPU round what they multiply to ten bits (TF32), which moves latents and
    scores by about a thousandth. What is kept in a file must not depend on where it was computed.
    """
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before
