from collections.abc import Mapping
from typing import Any

import pytest
import ray
from rich.console import Console

from cdcore.errors import ConfigError
from rayjobs.cluster import scaling as cluster
from rayjobs.cluster.capacity import Capacity
from rayjobs.cluster.scaling import (
    free_capacity,
    make_room,
    scaling,
    tell_if_busy,
    uses_gpus,
    whole_capacity,
    without_gpus,
)


def holds(
    monkeypatch: pytest.MonkeyPatch,
    whole: Capacity,
    free: Capacity | None = None,
    *,
    grows: bool = False,
) -> None:
    monkeypatch.setattr(cluster, "whole_capacity", lambda: whole)
    monkeypatch.setattr(cluster, "free_capacity", lambda: free or whole)
    monkeypatch.setattr(cluster, "can_grow", lambda: grows)


def nodes(*cpus: int, gpus: int = 0) -> Capacity:
    return Capacity(gpus=(gpus,), cpus=cpus)


@pytest.mark.parametrize(
    ("whole", "workers", "each", "use_gpu"),
    [
        (nodes(8), 1, {"CPU": 8}, False),
        (nodes(8), 3, {"CPU": 2}, False),
        (nodes(2, 2), 1, {"CPU": 2}, False),
        (nodes(8, gpus=4), 4, None, True),
    ],
)
def test_workers_take_a_gpu_each_or_share_the_cpus(
    monkeypatch: pytest.MonkeyPatch,
    whole: Capacity,
    workers: int,
    each: dict[str, float] | None,
    use_gpu: bool,
) -> None:
    holds(monkeypatch, whole)
    made = scaling(workers, Console())
    assert (made.num_workers, made.use_gpu) == (workers, use_gpu)
    assert made.resources_per_worker == each


@pytest.mark.parametrize(
    ("free", "workers", "each", "notes"),
    [
        (nodes(5), 1, 5, ""),
        (nodes(5), 2, 2, ""),
        (nodes(1), 1, 1, ""),
        (nodes(0), 1, 1, "note: the cluster is busy, 1 CPU needed and 0 free; waiting for it\n"),
        (nodes(2), 3, 1, "note: the cluster is busy, 3 CPU needed and 2 free; waiting for it\n"),
    ],
)
def test_on_a_shared_cluster_workers_ask_for_what_others_have_left_or_wait_for_one_cpu_each(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    free: Capacity,
    workers: int,
    each: int,
    notes: str,
) -> None:
    holds(monkeypatch, nodes(8), free)
    made = scaling(workers, Console())
    assert made.resources_per_worker == {"CPU": each}
    tell_if_busy(Console(), made)
    assert capsys.readouterr().out == notes


@pytest.mark.parametrize(
    ("whole", "message"),
    [
        (nodes(2), "3 workers, but the cluster has 2 CPUs; give at most 2"),
        (nodes(64, gpus=1), "3 workers, but the cluster has 1 GPU"),
    ],
)
def test_more_workers_than_the_cluster_holds_are_refused(
    monkeypatch: pytest.MonkeyPatch, whole: Capacity, message: str
) -> None:
    holds(monkeypatch, whole)
    with pytest.raises(ConfigError, match=message):
        scaling(3, Console())


def test_a_cluster_with_gpus_can_be_asked_for_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    holds(monkeypatch, nodes(8, gpus=4))
    assert scaling(2, Console(), gpus=False).resources_per_worker == {"CPU": 4}


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
    monkeypatch.setattr(cluster, "available_resources_per_node", lambda: left)
    monkeypatch.setattr(cluster, "is_submitted", lambda: is_shared)
    whole = Capacity(gpus=(1, 0), cpus=(8, 4))
    assert whole_capacity() == whole
    assert free_capacity() == (Capacity(gpus=(0, 0), cpus=(1, 4)) if is_shared else whole)


def grown(monkeypatch: pytest.MonkeyPatch, later: Capacity) -> list[tuple[int, bool]]:
    """Stand for an autoscaler: what it is asked for is there at once."""
    asked = []

    def answer(workers: int, *, use_gpu: bool) -> None:
        asked.append((workers, use_gpu))
        holds(monkeypatch, later, grows=True)

    monkeypatch.setattr(cluster, "await_nodes", answer)
    return asked


@pytest.mark.parametrize(
    ("before", "workers", "gpus", "later", "note"),
    [
        (nodes(0), 1, None, nodes(0, 4), "0 CPU of 1"),
        (nodes(2), 3, None, nodes(2, 4), "2 CPU of 3"),
        (nodes(0), 1, True, nodes(0, 8, gpus=1), "0 GPU of 1"),
        (nodes(8), 1, True, nodes(8, 8, gpus=1), "0 GPU of 1"),
        (nodes(8, gpus=1), 4, None, nodes(8, 8, gpus=4), "1 GPU of 4"),
    ],
)
def test_a_cluster_that_grows_is_asked_and_waited_for(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    before: Capacity,
    workers: int,
    gpus: bool | None,
    later: Capacity,
    note: str,
) -> None:
    holds(monkeypatch, before, grows=True)
    asked = grown(monkeypatch, later)
    made = scaling(workers, Console(width=200), gpus=gpus)
    use_gpu = later.slots(use_gpu=True) > 0
    assert asked == [(workers, use_gpu)]
    assert made.use_gpu is use_gpu
    # What has come is shared out as what was there.
    assert use_gpu or made.resources_per_worker == {"CPU": later.cpus_each(workers)}
    assert note in capsys.readouterr().out


@pytest.mark.parametrize("grows", [False, True])
def test_what_is_there_is_taken_without_a_word(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], grows: bool
) -> None:
    holds(monkeypatch, nodes(8, gpus=2), grows=grows)
    asked = grown(monkeypatch, nodes(0))
    for workers, use_gpu in ((2, True), (8, False)):
        make_room(workers, Console(), use_gpu=use_gpu)
    assert asked == []
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("gpu_count", "asked", "grows", "is_small", "taken"),
    [
        (0, None, False, False, False),
        (0, None, True, True, False),
        (0, False, True, False, False),
        (0, True, True, False, True),
        (2, None, False, False, True),
        (2, True, False, True, True),
        (2, False, True, False, False),
    ],
)
def test_gpus_are_taken_where_there_are_any_unless_the_user_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
    gpu_count: int,
    asked: bool | None,
    grows: bool,
    is_small: bool,
    taken: bool,
) -> None:
    holds(monkeypatch, nodes(8, gpus=gpu_count), grows=grows)
    assert uses_gpus(asked, is_small=is_small) is taken


def test_large_work_never_falls_to_cpus_because_gpus_are_not_there_yet(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    holds(monkeypatch, nodes(8), grows=True)
    with pytest.raises(ConfigError, match=r"--gpus to wait for them, or --no-gpus"):
        scaling(1, Console(), is_small=False)


def test_gpus_that_nobody_can_add_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    holds(monkeypatch, nodes(8))
    with pytest.raises(ConfigError, match="no autoscaler that could add one"):
        scaling(1, Console(), gpus=True)


def test_gpus_are_hidden_only_where_there_are_any(monkeypatch: pytest.MonkeyPatch) -> None:
    holds(monkeypatch, nodes(8))
    assert without_gpus() == {}
    holds(monkeypatch, nodes(8, gpus=1))
    assert without_gpus() == {"env_vars": {"CUDA_VISIBLE_DEVICES": ""}}
