"""What Prometheus would read of a cluster of a test's own."""

import re
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import ray

from tests.ray_head import free_port

__all__ = ["Sample", "metrics_cluster", "samples_of", "wait_for"]

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
def metrics_cluster() -> Iterator[str]:
    """Join a cluster, and yield the address of its metrics."""
    port = free_port()
    ray.init(
        address="local",
        num_cpus=1,
        include_dashboard=False,
        log_to_driver=False,
        _metrics_export_port=port,
    )
    try:
        yield f"http://127.0.0.1:{port}/metrics"
    finally:
        ray.shutdown()


def wait_for(expected: dict[tuple[str, ...], float], address: str, *labels: str) -> None:
    """Wait until the metrics with the first of some labels are these.

    Args:
        expected: Values by the metric's name and the values of those labels that it has.
        address: Where they are exported.
        labels: Names of labels. Of the first, metrics with the values in ``expected`` are looked
            at: this process may have exported others before.
    """
    wanted = {key[1] for key in expected}
    deadline = time.monotonic() + PATIENCE_S
    found: dict[tuple[str, ...], float] = {}
    while found != expected and time.monotonic() < deadline:
        time.sleep(0.5)
        found = {
            (name, *(given[label] for label in labels if label in given)): value
            for name, given, value in samples_of(address)
            if given.get(labels[0]) in wanted
        }
    assert found == expected
