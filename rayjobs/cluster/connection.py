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
from ray._private import services

from cdcore.command_line.cluster_address import (
    HERE,
    check_listening,
    cluster_address,
    no_cluster,
)
from cdcore.errors import ConfigError, one_line
from rayjobs.runs.result_paths import is_submitted

__all__ = ["connected", "joined_address", "silent_errors"]

_ROOT = Path(__file__).resolve().parents[2]
_PATIENCE_S = "5"


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
        try:
            _init(address="local", include_dashboard=False)
        except (RuntimeError, ValueError) as error:
            raise ConfigError(f"Ray cannot be started on this machine: {error}") from error
    try:
        with _interrupted_by_sigterm():
            yield
    finally:
        ray.shutdown()


def joined_address() -> str:
    """Return the ``HOST:PORT`` of the cluster that this process is to join; somebody listens there.

    Raises:
        ConfigError: The environment names no cluster that is there.
    """
    address = cluster_address() or HERE
    if address == HERE:
        try:
            # Ray's own search, without the twenty seconds that it gives what it has found.
            address = services.canonicalize_bootstrap_address(HERE) or ""
        except ConnectionError as error:
            raise no_cluster("none runs on this machine") from error
    check_listening(address)
    return address


def _join() -> None:
    """Join the cluster of the environment.

    Raises:
        ConfigError: The cluster does not answer, has another token, or is of another version.
    """
    address = joined_address()
    os.environ.setdefault("RAY_gcs_server_port_wait_time_s", _PATIENCE_S)
    try:
        with silent_errors():
            _init(address=address)
    except (ConnectionError, ray.exceptions.AuthenticationError) as error:
        raise ConfigError(
            f"the Ray cluster at {address} cannot be joined: it does not answer, or it has another "
            "token; where it has one, set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN (or "
            "RAY_AUTH_TOKEN_PATH) to the same as its head"
        ) from error
    except (RuntimeError, ValueError) as error:
        # Another version of Ray or Python, or a runtime environment that cannot be had.
        raise ConfigError(f"the Ray cluster at {address} cannot be joined: {error}") from error


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
    # A job that was submitted with a PYTHONPATH has it here as well, and keeps it: without this Ray
    # would refuse a second one.
    os.environ["RAY_OVERRIDE_JOB_RUNTIME_ENV"] = "1"
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
