"""Tests of `serve.__main__`; with a cluster it is tested in `test_app`."""

import pytest

from serve.__main__ import greeting, read_arguments
from serve.settings import ServiceSettings


def test_settings_come_from_the_command_line() -> None:
    given = read_arguments(["--base", "sd1.4", "--slots", "4", "--port", "9000"])
    assert (given.settings.base, given.settings.slots, given.port) == ("sd1.4", 4, 9000)
    plain = read_arguments([])
    assert (plain.host, plain.port, plain.metrics_port) == ("127.0.0.1", 8000, None)
    assert plain.settings == ServiceSettings()


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.0.7", "::", "my.host"])
def test_others_need_keys(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read_arguments(["--host", host])
    assert "--keys FILE" in capsys.readouterr().err
    assert read_arguments(["--host", host, "--keys", "keys.json"]).host == host
    for own in ("localhost", "127.0.0.2", "::1"):
        assert read_arguments(["--host", own]).host == own


def test_what_is_no_setting_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read_arguments(["--slots", "many"])
    assert "--slots" in capsys.readouterr().err


def test_a_newcomer_is_told_the_address() -> None:
    told = greeting("http://127.0.0.1:8000", "pocket")
    assert told.count("http://127.0.0.1:8000") == 4
    assert told.startswith("serving base pocket at http://127.0.0.1:8000\n")
