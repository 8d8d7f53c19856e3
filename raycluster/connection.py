"""The Ray cluster of a process: one that is there, or one of its own on this machine."""

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

from cdcore.errors import ConfigError, one_line
from raycluster.address import HERE, cluster_address, is_submitted, no_cluster
from raycluster.liveness import check_alive

__all__ = ["connected", "joined_address", "silent_errors"]

_ROOT = Path(__file__).resolve().parents[1]
_PATIENCE_S = "5"


@contextmanager
def connected(metrics_port: int | None = None) -> Iterator[None]:
    """Connect to the cluster, and leave it (or stop the process's own) at the end.

    A SIGTERM ends the block as Ctrl-C does, and so it does while the cluster is joined.

    Args:
        metrics_port: For Prometheus, on a Ray of its own; None lets Ray choose.

    Raises:
        ConfigError: The cluster cannot be joined.
    """
    try:
        with _interrupted_by_sigterm():
            if is_submitted():
                _join()
            else:
                _start(metrics_port)
            # Ray has put its own in place, which prints a stack and ends with another status.
            _take_sigterm()
            yield
    finally:
        ray.shutdown()


def joined_address() -> str:
    """Return the ``HOST:PORT`` of the cluster that this process is to join; a head answers there.

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
    check_alive(address)
    return address


def _start(metrics_port: int | None) -> None:
    # With a token in the user's home, Ray would ask the process's own cluster for it.
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    try:
        # Without the address Ray would join any cluster that happens to run on this machine.
        _init(address="local", include_dashboard=False, _metrics_export_port=metrics_port)
    except (RuntimeError, ValueError) as error:
        raise ConfigError(f"Ray cannot be started on this machine: {error}") from error


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
    try:
        ray.init(
            log_to_driver=False,
            logging_level=logging.ERROR,
            # Workers import this package from wherever the driver has it.
            runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join(paths)}},
            **settings,
        )
    except SystemExit as error:
        # That is how Ray itself answers a SIGTERM meanwhile.
        raise KeyboardInterrupt from error


@contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    """Let a SIGTERM do what Ctrl-C does, and put back at the end what was there before."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    _take_sigterm()
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _take_sigterm() -> None:
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)
