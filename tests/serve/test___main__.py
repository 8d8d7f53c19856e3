"""Tests of `serve.__main__`; with a cluster it is tested in `test_app`."""

import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from cdcore.errors import ConfigError, CustomDiffusionError
from serve.__main__ import Address, _wait_until_ready, greeting, main, read_arguments
from serve.settings import ServiceSettings


def test_settings_come_from_the_command_line() -> None:
    given = read_arguments(["--base", "sd1.4", "--slots", "4", "--port", "9000"])
    assert (given.settings.base, given.settings.slots, given.address.port) == ("sd1.4", 4, 9000)
    plain = read_arguments([])
    assert (plain.address.host, plain.address.port, plain.address.metrics_port) == (
        "127.0.0.1",
        8000,
        None,
    )
    assert plain.settings == ServiceSettings()


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.0.7", "::", "my.host"])
def test_others_need_keys(host: str) -> None:
    with pytest.raises(ConfigError, match="--keys FILE"):
        read_arguments(["--host", host])
    assert read_arguments(["--host", host, "--keys", "keys.json"]).address.host == host
    for own in ("localhost", "127.0.0.2", "::1"):
        assert read_arguments(["--host", own]).address.host == own


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--slots", "many"], "--slots is 'many', expected a whole number"),
        (["--slots", "0"], "--slots is 0: Input should be greater than or equal to 1"),
        (["--slotz", "3"], "unknown option --slotz; did you mean --slots?"),
        (["--config", "x.yaml"], "unknown option --config"),
        (["--keys", "KEYS"], "KEYS: not a file of API keys"),
        (["--base", "no/such/base"], "base 'no/such/base' cannot be loaded"),
        (["--base=~no-such-user/x"], "--base: ~no-such-user/x: there is no user's home"),
        (["--registry", "caf\udce9"], "caf\\udce9: a name that is not UTF-8"),
        (["--port", "0"], "--port is 0, expected 1 to 65535"),
        (["--port", "70000"], "--port is 70000, expected 1 to 65535"),
        (["--metrics-port", "-1"], "--metrics-port is -1, expected 1 to 65535"),
    ],
)
def test_what_cannot_be_used_is_refused_before_ray_starts(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(CustomDiffusionError) as caught:
        main(arguments)
    assert message in str(caught.value)


@pytest.mark.parametrize("given", ["http://head:8265", "ray://head:10001", "head", " "])
def test_a_cluster_that_cannot_be_joined_is_refused_before_ray_starts(
    given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setenv("RAY_ADDRESS", given)
    with pytest.raises(ConfigError, match=f"RAY_ADDRESS is {given!r}"):
        main([])


def test_a_second_service_on_a_port_is_refused_before_ray_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as first:
        port = str(first.getsockname()[1])
        with pytest.raises(ConfigError, match=rf"--port is {port}.*give another --port"):
            main(["--port", port])


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("0.0.0.0", "http://127.0.0.1:80"),
        ("::", "http://[::1]:80"),
        ("::1", "http://[::1]:80"),
        ("box.example", "http://box.example:80"),
    ],
)
def test_every_host_has_an_address_that_this_machine_can_ask(host: str, url: str) -> None:
    assert Address(host=host, port=80).url == url


def test_the_service_is_asked_directly_whatever_proxy_leads_outside(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Ready(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    with HTTPServer(("127.0.0.1", 0), Ready) as server:
        answering = threading.Thread(target=server.handle_request)
        answering.start()
        _wait_until_ready(f"http://127.0.0.1:{server.server_address[1]}")
        answering.join()


def test_a_newcomer_is_told_the_address() -> None:
    told = greeting("http://127.0.0.1:8000", "pocket")
    assert told.count("http://127.0.0.1:8000") == 4
    assert told.startswith("serving base pocket at http://127.0.0.1:8000\n")
