"""The base model of a job that samples in its own process."""

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from cdcore.base import Base

__all__ = ["load_local_base"]


def load_local_base(name: str) -> "Base":
    """Load a base on the GPU in bfloat16 where there is one, else on the CPU in float32.

    Args:
        name: As for `cdcore.base.load_base`.

    Raises:
        BaseModelError: There is no such base, or it cannot be read.
    """
    # Model libraries take seconds to import.
    from cdcore.base import load_base

    on_gpu = torch.cuda.is_available()
    return load_base(
        name,
        device="cuda" if on_gpu else "cpu",
        dtype=torch.bfloat16 if on_gpu else torch.float32,
    )
