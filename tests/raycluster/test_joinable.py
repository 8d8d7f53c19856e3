"""Tests of `raycluster.joinable`."""

import sys

import pytest
from ray._private import services

from cdcore.errors import ConfigError
from raycluster.joinable import check_joinable


def test_without_a_cluster_there_is_nothing_to_refuse_and_no_ray_to_load(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    check_joinable()


@pytest.mark.parametrize("given", ["http://head:8265", "head", " "])
def test_what_is_no_address_is_refused_without_ray(
    given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setenv("RAY_ADDRESS", given)
    with pytest.raises(ConfigError, match=f"RAY_ADDRESS is {given!r}"):
        check_joinable()


def test_where_no_cluster_runs_on_this_machine_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def search(_: str) -> str:
        raise ConnectionError("Could not find any running Ray instance")

    monkeypatch.setenv("RAY_ADDRESS", "auto")
    monkeypatch.setattr(services, "canonicalize_bootstrap_address", search)
    with pytest.raises(ConfigError, match=r"RAY_ADDRESS is 'auto'.*none runs on this machine"):
        check_joinable()


def test_a_cluster_that_has_left_its_address_behind_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    monkeypatch.setattr(services, "canonicalize_bootstrap_address", lambda _: "127.0.0.1:1")
    with pytest.raises(ConfigError, match=r"RAY_ADDRESS is 'auto'.*refused"):
        check_joinable()
