"""Tests of `raycluster.liveness`: on real sockets, each with what may listen at an address."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import grpc
import pytest

from cdcore.errors import ConfigError
from raycluster.address import VARIABLE
from raycluster.liveness import check_alive
from tests.raycluster.head_case import answering


@contextmanager
def listening(said: bytes, *, hangs_up: bool) -> Iterator[str]:
    """A socket that says something to whoever comes, and keeps or closes the connection."""
    kept: list[socket.socket] = []

    def serve() -> None:
        while True:
            try:
                kept.append(server.accept()[0])
                kept[-1].sendall(said)
            except OSError:
                return
            if hangs_up:
                kept[-1].close()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
    for one in kept:
        one.close()


def refusal(address: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv(VARIABLE, address)
    started = time.monotonic()
    with pytest.raises(ConfigError) as caught:
        check_alive(address)
    assert time.monotonic() - started < 20
    message = str(caught.value)
    assert message.startswith(f"{VARIABLE} is {address!r}, where ")
    assert "unset" in message
    assert "\n" not in message
    return message


@pytest.mark.parametrize("code", [None, grpc.StatusCode.UNAUTHENTICATED])
def test_a_head_is_taken_with_a_token_or_without(code: grpc.StatusCode | None) -> None:
    with answering(code=code) as address:
        check_alive(address)


@pytest.mark.parametrize("name", ["http_proxy", "https_proxy", "grpc_proxy"])
def test_a_head_is_asked_past_the_proxy(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "http://127.0.0.1:1")
    with answering() as address:
        check_alive(address)


def test_another_grpc_service_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering("Datapath") as address:
        assert "10001" in refusal(address, monkeypatch)


def test_a_web_server_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        message = refusal(f"127.0.0.1:{server.server_port}", monkeypatch)
        server.shutdown()
    assert "8265" in message
    assert "ray job submit --address http://127.0.0.1" in message


@pytest.mark.parametrize(
    ("said", "hangs_up", "reason"),
    [
        (b"", False, "has not answered within 5 s"),
        (b"+PONG\r\n", False, "has not answered within 5 s"),
        (b"", True, "no Ray head"),
        (b"SSH-2.0-OpenSSH_9\r\n", False, "no Ray head"),
    ],
)
def test_what_says_nothing_or_something_else_is_none(
    said: bytes, hangs_up: bool, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with listening(said, hangs_up=hangs_up) as address:
        assert reason in refusal(address, monkeypatch)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "no-such-host.invalid", f"{'a' * 64}.example"]
)
def test_where_nobody_listens_it_is_said_at_once(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"{host}:{taken.getsockname()[1]}"
        assert "ray start --head" in refusal(address, monkeypatch)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_question(number: signal.Signals) -> None:
    script = (
        "import signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "signal.signal(signal.SIGTERM, signal.default_int_handler)\n"
        "from raycluster.liveness import check_alive\n"
        "import grpc\n"
        "try:\n    print('asks', flush=True)\n    check_alive(sys.argv[1])\n"
        "except KeyboardInterrupt:\n    sys.exit(130)\n"
    )
    with (
        listening(b"", hangs_up=False) as address,
        subprocess.Popen(
            [sys.executable, "-c", script, address],
            stdout=subprocess.PIPE,
            env=os.environ | {VARIABLE: address},
        ) as asking,
    ):
        assert asking.stdout is not None
        asking.stdout.readline()
        time.sleep(0.5)
        asking.send_signal(number)
        assert asking.wait(20) == 130
