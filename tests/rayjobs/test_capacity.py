from collections.abc import Mapping
from typing import Any

import pytest
import ray
from hypothesis import given
from hypothesis import strategies as st

from rayjobs import capacity
from rayjobs.capacity import Capacity, free_capacity, whole_capacity


@given(cpus=st.lists(st.integers(0, 8), max_size=4).map(tuple), workers=st.integers(1, 12))
def test_each_worker_lies_on_one_node_and_no_more_fits(cpus: tuple[int, ...], workers: int) -> None:
    def fitting(each: int) -> int:
        return sum(node // each for node in cpus)

    each = Capacity(gpus=(), cpus=cpus).cpus_each(workers)
    if each:
        assert fitting(each) >= workers
    assert fitting(each + 1) < workers


@pytest.mark.parametrize("is_shared", [False, True])
def test_only_on_a_cluster_that_others_use_less_may_be_free_than_there_is(
    monkeypatch: pytest.MonkeyPatch, is_shared: bool
) -> None:
    def node(resources: Mapping[str, float], *, is_alive: bool = True) -> dict[str, Any]:
        return {"Alive": is_alive, "Resources": resources}

    listed = [
        node({"CPU": 8.0, "GPU": 1.0}),
        node({"CPU": 4.0}),
        node({"CPU": 64.0}, is_alive=False),
    ]
    monkeypatch.setattr(ray, "nodes", lambda: listed)
    left = {"a": {"CPU": 1.5, "memory": 9.0}, "b": {"CPU": 4.0}}
    monkeypatch.setattr(capacity, "available_resources_per_node", lambda: left)
    monkeypatch.setattr(capacity, "is_submitted", lambda: is_shared)
    whole = Capacity(gpus=(1, 0), cpus=(8, 4))
    assert whole_capacity() == whole
    assert free_capacity() == (Capacity(gpus=(0, 0), cpus=(1, 4)) if is_shared else whole)
