"""Ray Serve as ``python -m serve`` uses it: on a Ray of its own, or on a cluster that is there.

On a cluster it starts Serve where there is none, and refuses one that runs: Serve has one port and
one set of options. What others have put there meanwhile stays when it ends.
"""

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cdcore.command_line.cluster_address import (
    HERE,
    VARIABLE,
    check_cluster,
    check_listening,
    cluster_address,
    no_cluster,
)
from cdcore.errors import ConfigError

__all__ = ["APPLICATION", "check_port", "connected", "hosted", "joined_address"]

APPLICATION = "customdiffusion"
"""Its name in Serve."""

_ROOT = Path(__file__).resolve().parents[1]
_LAST_PORT = 65535
_PATIENCE_S = "5"


def check_port(flag: str, host: str, port: int) -> None:
    """Refuse a port that nothing more can listen at.

    Serve shares its port with whoever lets it: two services would each get some of the requests.

    Args:
        flag: The option that sets the port, for an error.
        host: Address or name of this machine.
        port: Port.

    Raises:
        ConfigError: It is taken, out of range, not this user's to take, or the host is elsewhere.
    """
    if not 0 < port <= _LAST_PORT:
        raise ConfigError(f"{flag} is {port}, expected 1 to {_LAST_PORT}")
    try:
        family, kind, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            # As a server does: connections that have just ended are in nobody's way.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(
            f"{flag} is {port}, but nothing can listen there on {host} ({reason}); end what does, "
            f"or give another {flag}"
        ) from error


def joined_address() -> str | None:
    """Return the ``HOST:PORT`` of the cluster to join, where somebody listens; None for one's own.

    Raises:
        ConfigError: The environment names no cluster that is there.
    """
    check_cluster()
    address = cluster_address()
    if address != HERE:
        return address
    # Only Ray finds it. It takes a second to import, but no cluster has to be started.
    from ray._private import services

    try:
        found = services.canonicalize_bootstrap_address(HERE) or ""
    except ConnectionError as error:
        raise no_cluster("none runs on this machine") from error
    # A cluster that has crashed leaves its address behind.
    check_listening(found)
    return found


@contextmanager
def connected(metrics_port: int | None) -> Iterator[None]:
    """Connect to the cluster of the environment, or start a Ray of its own and stop it at the end.

    Args:
        metrics_port: For Prometheus, on a Ray of its own; None lets Ray choose.

    Raises:
        ConfigError: The cluster cannot be joined, or its head is another machine.
    """
    import ray

    address = joined_address()
    settings: dict[str, Any] = {"address": "local", "include_dashboard": False}
    if address is not None:
        paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        # Replicas import this package from wherever the command has it.
        settings = {
            "address": address,
            "runtime_env": {"env_vars": {"PYTHONPATH": os.pathsep.join(paths)}},
        }
        os.environ.setdefault("RAY_gcs_server_port_wait_time_s", _PATIENCE_S)
    try:
        ray.init(
            log_to_driver=False,
            logging_level=logging.ERROR,
            _metrics_export_port=metrics_port,
            **settings,
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        where = "Ray cannot be started on this machine"
        if address is not None:
            where = f"the Ray cluster at {address} cannot be joined"
        raise ConfigError(f"{where}: {error}") from error
    try:
        _check_head()
        yield
    finally:
        ray.shutdown()


def _check_head() -> None:
    import ray

    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    own = ray.get_runtime_context().get_node_id()
    head = next(node for node in nodes if "node:__internal_head__" in node["Resources"])
    if head["NodeID"] != own:
        raise ConfigError(
            f"the head of the Ray cluster is {head['NodeManagerAddress']}, and this serves from "
            f"the head alone; start it there, unset {VARIABLE} to serve from this machine, or use "
            "serve deploy serve/config.yaml"
        )


@contextmanager
def hosted(host: str, port: int) -> Iterator[None]:
    """Start Serve, and end it, or the application alone where others are served by then.

    Args:
        host: Address to bind to.
        port: Port to bind to.

    Raises:
        ConfigError: Others are served from this cluster.
    """
    from ray import serve as ray_serve

    before = ray_serve.status()
    if before.proxies or before.applications:
        names = ", ".join(before.applications) or "none"
        raise ConfigError(
            f"Ray Serve runs already on the cluster at {cluster_address()} (applications: {names}),"
            f" with a port of its own; unset {VARIABLE} to serve from a Ray of its own, or name "
            "another cluster"
        )
    try:
        ray_serve.start(http_options={"host": host, "port": port})
        yield
    finally:
        others = set(ray_serve.status().applications) - {APPLICATION}
        if others:
            ray_serve.delete(APPLICATION)
        else:
            ray_serve.shutdown()  # type: ignore[no-untyped-call]
