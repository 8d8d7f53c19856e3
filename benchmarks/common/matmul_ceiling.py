"""The matrix ceiling: the most that this device gets out of one large product of matrices."""

from functools import partial

import torch

from benchmarks.common.timing import synchronized

__all__ = ["measure_ceiling"]

_SIZES = {"cuda": (4096, 8192, 16_384), "cpu": (512, 1024)}
_REPEATS = 10


def measure_ceiling(device: torch.device, dtype: torch.dtype) -> float:
    """Return the best FLOP/s of products of two square matrices, over sizes and repetitions.

    Args:
        device: Where to compute.
        dtype: Of the matrices.
    """
    best = 0.0
    for size in _SIZES[device.type]:
        left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
        product = partial(torch.matmul, left, right)
        synchronized(device, product)
        seconds = min(synchronized(device, product) for _ in range(_REPEATS))
        best = max(best, 2 * size**3 / seconds)
    return best
