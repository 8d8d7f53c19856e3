"""The Ray cluster of a job: the one it was submitted to, or one of its own on this machine."""

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import ray
from ray.train import ScalingConfig

from cdcore.errors import ConfigError

__all__ = ["connected", "scaling"]

_ROOT = Path(__file__).resolve().parent.parent


@contextmanager
def connected() -> Iterator[None]:
    """Connect to the cluster, and leave it (or stop the job's own) at the end.

    A SIGTERM ends the block as Ctrl-C does.
    """
    is_submitted = "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ or "RAY_ADDRESS" in os.environ
    if not is_submitted:
        # With a token in the user's home, Ray would ask the job's own cluster for it.
        os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    ray.init(
        # Without this Ray would join any cluster that happens to run on this machine.
        address=None if is_submitted else "local",
        log_to_driver=False,
        logging_level=logging.ERROR,
        include_dashboard=None if is_submitted else False,
        # Workers import this package from wherever the driver has it.
        runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join(paths)}},
    )
    try:
        with _interrupted_by_sigterm():
            yield
    finally:
        ray.shutdown()


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


def scaling(workers: int) -> ScalingConfig:
    """Return the resources of ``workers`` processes: a GPU each where there are any, else all CPUs.

    Raises:
        ConfigError: The cluster cannot hold so many.
    """
    resources = ray.cluster_resources()  # type: ignore[no-untyped-call]
    gpus, cpus = int(resources.get("GPU", 0)), int(resources.get("CPU", 0))
    slots, kind = (gpus, "GPUs") if gpus else (cpus, "CPUs")
    if workers > slots:
        raise ConfigError(
            f"{workers} workers, but the cluster has {slots} {kind}; give at most {slots} workers"
        )
    if gpus:
        return ScalingConfig(num_workers=workers, use_gpu=True)
    # Ray gives a worker as many threads as CPUs.
    return ScalingConfig(num_workers=workers, resources_per_worker={"CPU": cpus // workers})
