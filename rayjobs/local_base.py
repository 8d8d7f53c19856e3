"""The base model of a job that samples in its own process."""

from typing import TYPE_CHECKING

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
    from cdcore.device import chosen_device, compute_dtype

    device = chosen_device()
    return load_base(name, device=device, dtype=compute_dtype(device))
