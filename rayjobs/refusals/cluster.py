"""Refusals of a cluster that is not where the user says, before anything else takes its seconds."""

from pathlib import Path

from cdcore.command_line.cluster_address import HERE, check_cluster, cluster_address

__all__ = ["check_joinable"]


def check_joinable() -> None:
    """Refuse a cluster that nobody could join; the job's own cluster is none.

    Raises:
        ConfigError: The environment names no cluster that is there.
        RuntimeError: The user has no home, where Ray's libraries look as they are imported.
    """
    Path.home()
    check_cluster()
    if cluster_address() == HERE:
        # Only Ray finds it. It takes a second to import, but no cluster has to be started.
        from rayjobs.cluster.connection import joined_address

        joined_address()
