"""What a figure was measured on, without which it says nothing."""

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

__all__ = ["describe_machine"]

_LIBRARIES = ("torch", "diffusers", "transformers", "deepspeed", "ray")


def describe_machine(device: str) -> dict[str, Any]:
    """Return the date, the processor or card, the threads and the versions of the libraries.

    Args:
        device: What the figures are measured on.
    """
    described: dict[str, Any] = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": device,
        "processor": _processor(),
        "cpus": len(os.sched_getaffinity(0)),
        "threads": torch.get_num_threads(),
        "libraries": {name: version(name) for name in _LIBRARIES},
    }
    if torch.device(device).type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        described["card"] = properties.name
        described["card_memory_bytes"] = properties.total_memory
    return described


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
