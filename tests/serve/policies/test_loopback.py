"""Tests of `serve.policies.loopback`."""

import pytest

from serve.policies.loopback import is_loopback


@pytest.mark.parametrize(
    "name",
    ["localhost", "LOCALHOST", "localhost.", "127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1"],
)
def test_names_and_addresses_of_this_machine_are_known(name: str) -> None:
    assert is_loopback(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "0.0.0.0",
        "::",
        "192.168.0.5",
        "::ffff:192.168.0.5",
        "fe80::1",
        "localhost.example",
        "evil.localhost",
        "127.0.0.1.evil.example",
        "127.1",
    ],
)
def test_all_others_are_other_machines(name: str) -> None:
    assert not is_loopback(name)
