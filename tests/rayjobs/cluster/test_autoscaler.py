"""Tests of `rayjobs.cluster.autoscaler`; `test_scaling` has what is decided by its answers."""

import pytest

from rayjobs.cluster.autoscaler import can_grow


def test_a_job_s_own_cluster_does_not_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert not can_grow()
