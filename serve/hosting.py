"""Ray Serve as ``python -m serve`` uses it: on a Ray of its own, or on a cluster that is there.

On a cluster it starts Serve where there is none, and refuses one that runs: Serve has one port and
one set of options. What others have put there meanwhile stays when it ends.
"""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cdcore.errors import ConfigError
from raycluster.address import VARIABLE, cluster_address

__all__ = ["APPLICATION", "check_head", "check_port", "hosted"]

APPLICATION = "customdiffusion"
"""Its name in Serve."""

_LAST_PORT = 65535


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


def check_head() -> None:
    """Refuse a cluster that is connected and whose head is another machine.

    Raises:
        ConfigError: Serve's own processes would start there.
    """
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
