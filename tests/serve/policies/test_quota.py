"""Tests of `serve.policies.quota`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdcore.errors import ConfigError, OverloadedError
from serve.policies.quota import Quotas


def test_an_owner_without_a_limit_is_never_refused() -> None:
    quotas = Quotas()
    for _ in range(10):
        quotas.take("alice", 10**9, None, 0.0)


def test_what_can_never_be_done_is_no_matter_of_waiting() -> None:
    with pytest.raises(ConfigError, match="61 steps of pictures, this key has 60"):
        Quotas().take("alice", 61, 60, 0.0)


def test_owners_do_not_share_and_a_charge_can_be_undone() -> None:
    quotas = Quotas()
    quotas.take("alice", 60, 60, 0.0)
    quotas.take("boris", 60, 60, 0.0)
    with pytest.raises(OverloadedError):
        quotas.take("alice", 1, 60, 0.0)
    quotas.give_back("alice", 60, 60)
    quotas.give_back("alice", 60, 60)
    quotas.take("alice", 60, 60, 0.0)
    with pytest.raises(OverloadedError):
        quotas.take("alice", 1, 60, 0.0)


def test_only_what_was_charged_is_given_back() -> None:
    quotas = Quotas()
    quotas.take("alice", 60, 60, 0.0)
    quotas.give_back("alice", 10, 60)
    with pytest.raises(OverloadedError):
        quotas.take("alice", 11, 60, 0.0)
    quotas.take("alice", 10, 60, 0.0)


def test_who_was_charged_nothing_gets_nothing_back() -> None:
    quotas = Quotas()
    quotas.give_back("alice", 30, 60)
    quotas.take("alice", 60, 60, 0.0)
    # Her allowance was lifted while the request was on its way.
    quotas.give_back("alice", 60, None)
    with pytest.raises(OverloadedError):
        quotas.take("alice", 60, 60, 0.0)


@pytest.mark.parametrize("per_minute", [1, 60, 1000])
def test_a_used_allowance_fills_evenly_in_a_minute(per_minute: int) -> None:
    quotas = Quotas()
    quotas.take("alice", per_minute, per_minute, 0.0)
    with pytest.raises(OverloadedError) as refused:
        quotas.take("alice", per_minute, per_minute, 15.0)
    assert refused.value.retry_after_s == pytest.approx(45.0)
    with pytest.raises(OverloadedError):
        quotas.take("alice", per_minute, per_minute, 59.9)
    quotas.take("alice", per_minute, per_minute, 60.0 + 1e-6)


@given(
    per_minute=st.integers(1, 1000),
    asked=st.lists(st.tuples(st.floats(0, 30), st.integers(1, 1000)), max_size=40),
)
def test_no_more_is_given_than_the_allowance_and_who_waits_as_told_is_served(
    per_minute: int, asked: list[tuple[float, int]]
) -> None:
    quotas, now, taken = Quotas(), 0.0, 0
    for pause, cost in asked:
        now += pause
        cost = min(cost, per_minute)
        wait_s = 0.0
        try:
            quotas.take("alice", cost, per_minute, now)
        except OverloadedError as error:
            wait_s = error.retry_after_s
        if wait_s:
            assert wait_s >= 1
            now += wait_s + 1e-6
            quotas.take("alice", cost, per_minute, now)
        taken += cost
        assert taken <= per_minute * (1 + now / 60) + 1e-3
