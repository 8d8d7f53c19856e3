"""Tests of `serve.__main__`; with a cluster it is tested in `test_app`."""

import sys

import pytest

from cdcore.errors import ConfigError, CustomDiffusionError
from serve.__main__ import greeting, main, read_arguments
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
    ],
)
def test_what_cannot_be_used_is_refused_before_ray_starts(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(CustomDiffusionError) as caught:
        main(arguments)
    assert message in str(caught.value)


def test_a_newcomer_is_told_the_address() -> None:
    told = greeting("http://127.0.0.1:8000", "pocket")
    assert told.count("http://127.0.0.1:8000") == 4
    assert told.startswith("serving base pocket at http://127.0.0.1:8000\n")
