"""What Prometheus would read of a cluster of a test's own."""

import re
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import ray

from tests.ray_head import free_port

__all__ = ["Sample", "metrics_cluster", "samples_of"]

PATIENCE_S = 300.0
_LINE = re.compile(r"(\w+)\{(.*)\} (\S+)")
_LABEL = re.compile(r'(\w+)="([^"]*)"')

Sample = tuple[str, dict[str, str], float]
"""A metric's name, its labels and its value."""


def samples_of(address: str) -> list[Sample]:
    """Read what is exported at an address now; nothing where nobody answers yet."""
    try:
        with urllib.request.urlopen(address, timeout=60) as answer:
            lines = answer.read().decode().splitlines()
    except OSError:
        return []
    found = [_LINE.fullmatch(line) for line in lines]
    return [(one[1], dict(_LABEL.findall(one[2])), float(one[3])) for one in found if one]


@contextmanager
def metrics_cluster() -> Iterator[Callable[[set[str]], list[Sample]]]:
    """Join a cluster; what is yielded waits until all of some names are exported, and reads all."""
    port = free_port()
    ray.init(
        address="local",
        num_cpus=1,
        include_dashboard=False,
        log_to_driver=False,
        _metrics_export_port=port,
    )

    def exported(names: set[str]) -> list[Sample]:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            samples = samples_of(f"http://127.0.0.1:{port}/metrics")
            missing = names - {name for name, _, _ in samples}
            if not missing:
                return samples
            assert time.monotonic() < deadline, f"{missing} were never exported"
            time.sleep(0.5)

    try:
        yield exported
    finally:
        ray.shutdown()
