"""The Ray cluster that a user points a command at by ``RAY_ADDRESS``, read without Ray.

Ray would start another kind of client for an address with a scheme, and fail with a trace on one
without a port.
"""

import os
import re
from urllib.parse import urlsplit

from cdcore.errors import ConfigError

__all__ = [
    "HERE",
    "JOB_VARIABLE",
    "USUAL_PORT",
    "VARIABLE",
    "cluster_address",
    "is_submitted",
    "is_submitted_job",
    "no_cluster",
]

VARIABLE = "RAY_ADDRESS"
"""Environment variable: the address of a running cluster."""
HERE = "auto"
"""The address of whatever cluster runs on this machine."""
JOB_VARIABLE = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Environment variable: what ``ray job submit`` was told, as JSON."""

USUAL_PORT = 6379
"""The port at which a head answers drivers, unless it was told another."""

_NONE = "local"
"""What Ray calls a cluster of one's own."""
_PLACE = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\s/:@?#\[\]]+):([0-9]{1,5})", re.ASCII)
_CLIENT_SCHEME = "ray"
_JOB_SCHEMES = ("http", "https")
_LAST_PORT = 65535


def is_submitted_job() -> bool:
    """Whether this process was started by ``ray job submit``."""
    return JOB_VARIABLE in os.environ


def is_submitted() -> bool:
    """Whether this process is the driver of a submitted job, or is pointed at a cluster.

    Raises:
        ConfigError: It is pointed at something else.
    """
    return is_submitted_job() or cluster_address() is not None


def cluster_address() -> str | None:
    """Return the address of the cluster to join, ``HOST:PORT`` or `HERE`.

    Returns:
        None where the environment names none: then a command starts a cluster of its own.

    Raises:
        ConfigError: No program can join a cluster by what is given.
    """
    given = os.environ.get(VARIABLE, "")
    address = given.strip()
    if not given or address == _NONE:
        return None
    if address == HERE:
        return address
    place = _PLACE.fullmatch(address)
    if place and 0 < int(place[2]) <= _LAST_PORT:
        return address
    raise ConfigError(f"{VARIABLE} is {given!r}, {_expected(address)}")


def _expected(address: str) -> str:
    scheme, separator, rest = address.partition("://")
    host = _host(rest if separator else address)
    if separator and scheme in _JOB_SCHEMES:
        return (
            f"the address that jobs are submitted to; submit this one with ray job submit "
            f"--address {address} -- COMMAND, or set {VARIABLE} to the HOST:PORT of the head, such "
            f"as {host}:{USUAL_PORT}"
        )
    if separator and scheme == _CLIENT_SCHEME:
        return (
            f"the address of Ray Client, which can neither train nor serve; on a machine of the "
            f"cluster set {VARIABLE} to the HOST:PORT of the head, such as {host}:{USUAL_PORT}, or "
            f"from elsewhere use ray job submit --address http://{host}:8265 -- COMMAND"
        )
    return (
        f"expected the HOST:PORT of a Ray head, such as {host}:{USUAL_PORT}, or {HERE} for the "
        "cluster on this machine; unset it to work without one"
    )


def _host(text: str) -> str:
    """Return the host of an address as far as there is one, else an example."""
    try:
        host = urlsplit(f"//{text}").hostname or ""
    except ValueError:
        host = ""
    return host if re.fullmatch(r"[a-z0-9._-]+", host) else "10.0.0.1"


def no_cluster(reason: str) -> ConfigError:
    """Return the error of a cluster that is not where the environment says.

    Args:
        reason: What has been found instead.
    """
    return ConfigError(
        f"{VARIABLE} is {os.environ.get(VARIABLE, '')!r}, where no Ray head can be reached "
        f"({reason}); start one with ray start --head, give the HOST:PORT of one that runs, or "
        f"unset {VARIABLE} to work without one"
    )
