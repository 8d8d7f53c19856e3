"""Whether a Ray head is alive at an address, asked without Ray and within seconds.

Ray itself retries for a minute or more, hears no signal meanwhile, and tells a web server, a hung
head and a dead one by the same words.
"""

import http.client
import os
import socket
import time
from typing import Any
from urllib.parse import quote

from cdcore.errors import ConfigError
from raycluster.address import USUAL_PORT, VARIABLE, no_cluster

__all__ = ["check_alive"]

_PATIENCE_S = 5.0
_LEAST_S = 1.0
_QUESTION = "/ray.rpc.NodeInfoGcsService/CheckAlive"
"""A method that only a head has; its request may be empty."""


def check_alive(address: str) -> None:
    """Refuse a place where no Ray head answers, within five seconds or six.

    A head that wants a token answers too. One that speaks TLS is left to Ray once it listens.

    Args:
        address: ``HOST:PORT``.

    Raises:
        ConfigError: Nobody listens there, something else does, or it does not answer.
    """
    deadline = time.monotonic() + _PATIENCE_S
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_PATIENCE_S) as found:
            place = found.getpeername()
    except TimeoutError as error:
        raise no_cluster(f"no answer within {_PATIENCE_S:g} s") from error
    except (OSError, UnicodeError) as error:
        raise no_cluster(getattr(error, "strerror", None) or str(error)) from error
    if os.environ.get("RAY_USE_TLS", "0").lower() not in {"1", "true"}:
        _ask(place, address, max(deadline - time.monotonic(), _LEAST_S))


def _ask(place: tuple[Any, ...], address: str, patience_s: float) -> None:
    # It takes a moment to import, and most commands need no cluster.
    import grpc

    ip, port = place[:2]
    target = f"ipv6:[{quote(ip, safe=':')}]:{port}" if ":" in ip else f"ipv4:{ip}:{port}"
    # Ray goes by no proxy either.
    with grpc.insecure_channel(target, options=[("grpc.enable_http_proxy", 0)]) as channel:
        try:
            channel.unary_unary(_QUESTION)(b"", timeout=patience_s)
        except grpc.RpcError as error:
            reason = _reason(error.code(), place, address)
            if reason:
                raise ConfigError(
                    f"{VARIABLE} is {os.environ.get(VARIABLE, '')!r}, where {reason}, or unset "
                    f"{VARIABLE} to work without one"
                ) from error


def _reason(code: Any, place: tuple[Any, ...], address: str) -> str | None:
    """Return what answers instead of a head and what to do; None where a head answers."""
    import grpc

    head = f"{address.rpartition(':')[0]}:{USUAL_PORT}"
    remedy = f"give the HOST:PORT of the head, usually {head}"
    if code == grpc.StatusCode.UNIMPLEMENTED:
        return (
            "another service than a Ray head answers, such as that of ray:// clients (10001 is its "
            f"usual port), which can neither train nor serve; {remedy}"
        )
    if code == grpc.StatusCode.DEADLINE_EXCEEDED:
        return (
            f"something listens and has not answered within {_PATIENCE_S:g} s: a Ray head that "
            f"hangs, or no head; restart that head, {remedy}"
        )
    if code != grpc.StatusCode.UNAVAILABLE:
        # It wants a token, say: Ray has it, and knows what else may be wrong.
        return None
    if _is_web(place):
        return (
            "a web server answers and no Ray head, such as a dashboard (8265 is its usual port); "
            f"{remedy}, submit with ray job submit --address http://{address} -- COMMAND"
        )
    return f"something listens that is no Ray head, or one that is ending; {remedy}"


def _is_web(place: tuple[Any, ...]) -> bool:
    connection = http.client.HTTPConnection(place[0], place[1], timeout=_LEAST_S)
    try:
        connection.request("HEAD", "/")
        connection.getresponse()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return True
