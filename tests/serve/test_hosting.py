"""Tests of `serve.hosting`: ports and decisions; a cluster that others use in
`tests.test_serve_deploy`."""

import socket
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
from ray import serve as ray_serve

from cdcore.errors import ConfigError
from serve.hosting import APPLICATION, check_port, hosted


@pytest.mark.parametrize("taken_on", ["127.0.0.1", "0.0.0.0"])
@pytest.mark.parametrize("asked", ["127.0.0.1", "localhost", "0.0.0.0"])
@pytest.mark.parametrize("shares", [False, True])
def test_a_port_that_somebody_listens_at_is_taken_even_where_it_would_be_shared(
    taken_on: str, asked: str, shares: bool
) -> None:
    with socket.create_server((taken_on, 0), reuse_port=shares) as first:
        port = first.getsockname()[1]
        with pytest.raises(ConfigError, match=f"--port is {port}, but nothing can listen"):
            check_port("--port", asked, port)
    check_port("--port", asked, port)


def test_a_port_whose_connections_have_just_ended_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            server.accept()[0].close()
    check_port("--port", "127.0.0.1", port)


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_a_port_is_a_number_of_sixteen_bits(port: int) -> None:
    with pytest.raises(ConfigError, match=f"--port is {port}, expected 1 to 65535"):
        check_port("--port", "127.0.0.1", port)


@pytest.mark.parametrize("host", ["no-such-host.invalid", "192.0.2.1", "a" * 64])
def test_a_host_of_another_machine_is_none_to_listen_on(host: str) -> None:
    with pytest.raises(ConfigError, match="nothing can listen there"):
        check_port("--port", host, 18_000)


class Serve:
    """Stands for Ray Serve on a cluster: what runs there, and what was done to it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *applications: str) -> None:
        self.applications = dict.fromkeys(applications)
        self.proxies: dict[str, str] = {"node": "HEALTHY"} if applications else {}
        self.done: list[Any] = []
        monkeypatch.setattr(ray_serve, "status", lambda: SimpleNamespace(**vars(self)))
        for name in ("start", "delete", "shutdown"):
            monkeypatch.setattr(
                ray_serve,
                name,
                lambda *args, name=name, **options: self.done.append((name, *args, *options)),
            )


@pytest.mark.parametrize("applications", [("others",), (APPLICATION,), ("a", "b")])
def test_a_serve_that_runs_is_left_alone(
    applications: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    serve = Serve(monkeypatch, *applications)
    with pytest.raises(ConfigError, match=rf"runs already.*10\.0\.0\.1:6379.*{applications[0]}"):
        hosted("127.0.0.1", 8000).__enter__()
    assert serve.done == []


def test_a_serve_without_applications_has_a_port_of_its_own_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    serve = Serve(monkeypatch)
    serve.proxies = {"node": "HEALTHY"}
    with pytest.raises(ConfigError, match="applications: none"):
        hosted("127.0.0.1", 8000).__enter__()
    assert serve.done == []


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize(
    ("others", "ends"), [((), ("shutdown",)), (("others",), ("delete", APPLICATION))]
)
def test_at_the_end_only_what_is_its_own_ends(
    others: tuple[str, ...],
    ends: tuple[str, ...],
    fails: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    serve = Serve(monkeypatch)
    with suppress(RuntimeError), hosted("127.0.0.1", 8000):
        serve.applications = dict.fromkeys([APPLICATION, *others])
        if fails:
            raise RuntimeError
    assert serve.done == [("start", "http_options"), ends]
