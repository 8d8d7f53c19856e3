"""Time on a device that works ahead of the program."""

import time
from collections.abc import Callable

import torch

__all__ = ["synchronized"]


def synchronized(device: torch.device, work: Callable[[], object]) -> float:
    """Return the seconds that ``work`` takes until the device has done it."""
    _wait(device)
    started = time.perf_counter()
    work()
    _wait(device)
    return time.perf_counter() - started


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
