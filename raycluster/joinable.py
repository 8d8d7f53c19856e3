"""Refusals of a cluster that is not where the user says, before anything else takes its seconds."""

from pathlib import Path

from raycluster.address import HERE, cluster_address
from raycluster.liveness import check_alive

__all__ = ["check_joinable"]


def check_joinable() -> None:
    """Refuse a cluster that nobody could join; the process's own cluster is none.

    Raises:
        ConfigError: The environment names no cluster that is there.
        RuntimeError: The user has no home, where Ray's libraries look as they are imported.
    """
    Path.home()
    address = cluster_address()
    if address == HERE:
        # Only Ray finds it. It takes a second to import, but no cluster has to be started.
        from raycluster.connection import joined_address

        joined_address()
    elif address is not None:
        check_alive(address)
