"""The Ray cluster of a job: the one it was submitted to, or one of its own on this machine."""

import logging
import os
import shlex
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
from ray._private.state import available_resources_per_node
from ray.train import ScalingConfig
from rich.console import Console

from cdcore.errors import ConfigError, one_line
from rayjobs.cluster.capacity import Capacity
from rayjobs.runs.result_paths import is_submitted

__all__ = [
    "connected",
    "free_capacity",
    "scaling",
    "silent_errors",
    "tell_if_busy",
    "whole_capacity",
]

_ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def connected() -> Iterator[None]:
    """Connect to the cluster, and leave it (or stop the job's own) at the end.

    A SIGTERM ends the block as Ctrl-C does.

    Raises:
        ConfigError: The cluster cannot be joined.
    """
    if is_submitted():
        _join()
    else:
        # With a token in the user's home, Ray would ask the job's own cluster for it.
        os.environ.setdefault("RAY_AUTH_MODE", "disabled")
        # Without the address Ray would join any cluster that happens to run on this machine.
        _init(address="local", include_dashboard=False)
    try:
        with _interrupted_by_sigterm():
            yield
    finally:
        ray.shutdown()


def _join() -> None:
    """Join the cluster of the environment.

    Raises:
        ConfigError: The cluster does not answer, or has another token.
    """
    address = os.environ.get("RAY_ADDRESS", "auto")
    try:
        with silent_errors():
            _init(address=None)
    except (ConnectionError, ray.exceptions.AuthenticationError) as error:
        raise ConfigError(
            f"the Ray cluster at {address} cannot be joined: it does not answer, or it has another "
            "token; where it has one, set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN (or "
            "RAY_AUTH_TOKEN_PATH) to the same as its head"
        ) from error


@contextmanager
def silent_errors() -> Iterator[None]:
    """Drop standard error: Ray's C++ part repeats there each second that it cannot connect."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _init(**settings: Any) -> None:
    # Ray notes the command line, and ends in a traceback where a name in it is not UTF-8.
    ray._private.utils.get_entrypoint_name = lambda: one_line(shlex.join(sys.argv))
    paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    ray.init(
        log_to_driver=False,
        logging_level=logging.ERROR,
        # Workers import this package from wherever the driver has it.
        runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join(paths)}},
        **settings,
    )


@contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    """Take back what Ray has taken: its handler prints a stack and ends with another status."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


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


def scaling(workers: int, *, use_gpu: bool | None = None) -> ScalingConfig:
    """Return the resources of ``workers`` processes: a GPU each, or an even share of free CPUs.

    Where others have taken too much of the cluster, each asks for one CPU and will wait for it.

    Args:
        workers: On a CPU each has as many threads of torch as it has CPUs.
        use_gpu: Unset, where there are any.

    Raises:
        ConfigError: The cluster cannot hold so many, even when nobody else is there.
    """
    whole = whole_capacity()
    if use_gpu is None:
        use_gpu = whole.slots(use_gpu=True) > 0
    slots, kind = whole.slots(use_gpu=use_gpu), "GPUs" if use_gpu else "CPUs"
    if workers > slots:
        raise ConfigError(
            f"{workers} workers, but the cluster has {slots} {kind}; give at most {slots} workers"
        )
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


def _capacity(nodes: list[dict[str, float]]) -> Capacity:
    return Capacity(
        gpus=tuple(int(node.get("GPU", 0)) for node in nodes),
        cpus=tuple(int(node.get("CPU", 0)) for node in nodes),
    )
