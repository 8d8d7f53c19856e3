"""Tests of `serve.policies.loopback`."""

import pytest

from serve.policies.loopback import is_loopback


@pytest.mark.parametrize(
    "name",
    ["localhost", "LocalHost", "localhost.", "127.0.0.1", "127.9.8.7", "::1", "::ffff:127.0.0.1"],
)
def test_this_machine_s_own_names_and_addresses_are_loopback(name: str) -> None:
    assert is_loopback(name)


@pytest.mark.parametrize(
    "name",
    [
        "", "localhost.example", "notlocalhost", "0.0.0.0", "10.0.0.1", "128.0.0.1", "::", "::2",
        "::ffff:10.0.0.1", "fe80::1", "127.0.0.1.example",
    ],
)  # fmt: skip
def test_no_other_name_or_address_is(name: str) -> None:
    assert is_loopback(name) is False
