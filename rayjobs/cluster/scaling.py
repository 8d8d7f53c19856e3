"""The resources of workers: what the connected cluster has, has free, or may come to have."""

from typing import Any

import ray
from ray._private.state import available_resources_per_node
from ray.train import ScalingConfig
from rich.console import Console

from cdcore.errors import ConfigError
from raycluster.address import is_submitted
from rayjobs.cluster.autoscaler import await_nodes, can_grow
from rayjobs.cluster.capacity import Capacity

__all__ = [
    "free_capacity",
    "make_room",
    "scaling",
    "tell_if_busy",
    "uses_gpus",
    "whole_capacity",
    "without_gpus",
]


def whole_capacity() -> Capacity:
    """Return all that the connected cluster has."""
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return _capacity([node["Resources"] for node in nodes if node["Alive"]])


def free_capacity() -> Capacity:
    """Return what nobody has taken of the connected cluster; of a job's own cluster, all.

    A job that asked for every CPU there is would wait for ever beside a service that keeps one.
    What was given back a moment ago may be missing.
    """
    if not is_submitted():
        # Ray is slow to report a cluster that has just been started.
        return whole_capacity()
    free: dict[str, dict[str, float]] = available_resources_per_node()  # type: ignore[no-untyped-call]
    return _capacity(list(free.values()))


def uses_gpus(asked: bool | None, *, is_small: bool) -> bool:
    """Decide where workers compute.

    Args:
        asked: What the user has said; None takes GPUs where there are any.
        is_small: Whether the work suits CPUs.

    Raises:
        ConfigError: There is no GPU, and there is to be one; or there may be one later, and the
            user has not said whether to wait for it.
    """
    has_any = whole_capacity().slots(use_gpu=True) > 0
    if asked is False or has_any:
        return asked is not False
    if asked and not can_grow():
        raise ConfigError(
            "GPUs are asked for, but the cluster has none, and no autoscaler that could add one; "
            "start a node with a GPU, or ask for CPUs"
        )
    if asked is None and not is_small and can_grow():
        raise ConfigError(
            "the cluster has no GPU now, but an autoscaler that may add some; give --gpus to wait "
            "for them, or --no-gpus to work on CPUs"
        )
    return bool(asked)


def make_room(workers: int, console: Console, *, use_gpu: bool) -> None:
    """See to it that a cluster is large enough: its autoscaler is asked, and waited for.

    Args:
        workers: Each takes a GPU, or a CPU at least.
        console: Told what is waited for.
        use_gpu: Whether they take GPUs.

    Raises:
        ConfigError: It is too small, and has no autoscaler.
    """
    slots = whole_capacity().slots(use_gpu=use_gpu)
    if workers <= slots:
        return
    if not can_grow():
        kind = "GPUs" if use_gpu else "CPUs"
        remedy = f"give at most {slots} workers" if slots else "start a node that has some"
        raise ConfigError(
            f"{workers} workers, but the cluster has {slots or 'no'} {kind}; {remedy}"
        )
    console.print(
        f"note: the cluster has {slots} {'GPU' if use_gpu else 'CPU'} of {workers}; its autoscaler "
        "is asked for more, waiting for it"
    )
    await_nodes(workers, use_gpu=use_gpu)


def scaling(
    workers: int, console: Console, *, gpus: bool | None = None, is_small: bool = True
) -> ScalingConfig:
    """Return the resources of ``workers`` processes: a GPU each, or an even share of free CPUs.

    Where others have taken too much of the cluster, each asks for one CPU and will wait for it.

    Args:
        workers: On a CPU each has as many threads of torch as it has CPUs.
        console: Told what is waited for.
        gpus: What the user has said; as for `uses_gpus`.
        is_small: Whether the work suits CPUs.

    Raises:
        ConfigError: `uses_gpus` or `make_room` has refused it.
    """
    use_gpu = uses_gpus(gpus, is_small=is_small)
    make_room(workers, console, use_gpu=use_gpu)
    if use_gpu:
        return ScalingConfig(num_workers=workers, use_gpu=True)
    each = max(1, free_capacity().cpus_each(workers))
    return ScalingConfig(num_workers=workers, resources_per_worker={"CPU": each})


def tell_if_busy(console: Console, resources: ScalingConfig) -> None:
    """Print a line where workers will have to wait for others to leave the cluster."""
    # Ray's types allow for a search over both.
    workers: Any = resources.num_workers
    use_gpu: Any = resources.use_gpu
    free = free_capacity().slots(use_gpu=use_gpu)
    if workers > free:
        kind = "GPU" if use_gpu else "CPU"
        console.print(
            f"note: the cluster is busy, {workers} {kind} needed and {free} free; waiting for it"
        )


def without_gpus() -> dict[str, Any]:
    """Return the runtime environment of a process that is to compute on CPUs.

    Ray leaves the GPUs of a node in sight of those who have asked for none.
    """
    if whole_capacity().slots(use_gpu=True) == 0:
        return {}
    return {"env_vars": {"CUDA_VISIBLE_DEVICES": ""}}


def _capacity(nodes: list[dict[str, float]]) -> Capacity:
    return Capacity(
        gpus=tuple(int(node.get("GPU", 0)) for node in nodes),
        cpus=tuple(int(node.get("CPU", 0)) for node in nodes),
    )
