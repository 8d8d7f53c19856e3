"""How much a cluster holds, node by node: all of it, and what others have left.

A service and a training job share a cluster. A job that asks for every CPU there is would wait for
ever beside a service that keeps one.
"""

from dataclasses import dataclass
from typing import Any

import ray
from ray._private.state import available_resources_per_node

from rayjobs.places import is_submitted

__all__ = ["Capacity", "free_capacity", "whole_capacity"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Capacity:
    """Whole GPUs and whole CPUs of each node."""

    gpus: tuple[int, ...]
    cpus: tuple[int, ...]

    def slots(self, *, use_gpu: bool) -> int:
        """Return how many workers fit: one for each GPU, or for each CPU."""
        return sum(self.gpus if use_gpu else self.cpus)

    def cpus_each(self, workers: int) -> int:
        """Return the most CPUs that each of so many workers can have; 0 where they do not fit.

        A worker lies on one node.
        """
        for each in range(max(self.cpus, default=0), 0, -1):
            if sum(cpus // each for cpus in self.cpus) >= workers:
                return each
        return 0


def whole_capacity() -> Capacity:
    """Return all that the connected cluster has."""
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return _capacity([node["Resources"] for node in nodes if node["Alive"]])


def free_capacity() -> Capacity:
    """Return what nobody has taken of the connected cluster; of a job's own cluster, all.

    What was given back a moment ago may be missing.
    """
    if not is_submitted():
        # Ray is slow to report a cluster that has just been started.
        return whole_capacity()
    return _capacity(list(available_resources_per_node().values()))


def _capacity(nodes: list[dict[str, float]]) -> Capacity:
    return Capacity(
        gpus=tuple(int(node.get("GPU", 0)) for node in nodes),
        cpus=tuple(int(node.get("CPU", 0)) for node in nodes),
    )
