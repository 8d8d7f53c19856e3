import os
import signal
from collections.abc import Mapping
from typing import Any

import pytest
import ray
import ray.exceptions
from rich.console import Console

from cdcore.errors import ConfigError
from rayjobs.cluster import connection as cluster
from rayjobs.cluster.capacity import Capacity
from rayjobs.cluster.connection import (
    connected,
    free_capacity,
    scaling,
    tell_if_busy,
    whole_capacity,
)


class Ray:
    """Keeps how Ray was started, and whether it was stopped."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.settings: dict[str, Any] = {}
        self.is_stopped = False
        monkeypatch.setattr(ray, "init", lambda **settings: self.settings.update(settings))
        monkeypatch.setattr(ray, "shutdown", self.stop)

    def stop(self) -> None:
        self.is_stopped = True


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Ray:
    monkeypatch.setattr(os, "environ", dict(os.environ))
    os.environ.pop("RAY_AUTH_MODE", None)
    return Ray(monkeypatch)


def test_a_job_alone_starts_a_cluster_of_its_own_and_stops_it(fake: Ray) -> None:
    def interrupted() -> None:
        with connected():
            assert not fake.is_stopped
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert fake.is_stopped
    assert fake.settings["address"] == "local"
    assert fake.settings["include_dashboard"] is False
    assert os.environ["RAY_AUTH_MODE"] == "disabled"


def test_a_sigterm_ends_it_as_ctrl_c_does(fake: Ray) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)

    def stopped() -> None:
        with connected():
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert fake.is_stopped
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_a_submitted_job_joins_its_cluster_with_the_user_s_token(fake: Ray) -> None:
    os.environ["RAY_ADDRESS"] = "10.0.0.1:6379"
    with connected():
        pass
    assert fake.settings["address"] is None
    assert "include_dashboard" not in fake.settings
    assert "RAY_AUTH_MODE" not in os.environ


@pytest.mark.parametrize(
    "error", [ConnectionError("Failed to connect"), ray.exceptions.AuthenticationError("no token")]
)
def test_a_cluster_that_cannot_be_joined_is_one_line_without_ray_s_noise(
    fake: Ray,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    error: Exception,
) -> None:
    os.environ["RAY_ADDRESS"] = "10.0.0.1:6379"

    def fail(**_: Any) -> None:
        os.write(2, b"W gcs_client.cc:210: Failed to get cluster ID\n")
        raise error

    monkeypatch.setattr(ray, "init", fail)
    with pytest.raises(ConfigError, match=r"10\.0\.0\.1:6379 cannot be joined.*TOKEN") as caught:
        connected().__enter__()
    assert "\n" not in str(caught.value)
    os.write(2, b"heard again\n")
    assert capfd.readouterr().err == "heard again\n"


def test_workers_import_this_checkout_before_anything_else(fake: Ray) -> None:
    os.environ["PYTHONPATH"] = "/theirs"
    with connected():
        pass
    path = fake.settings["runtime_env"]["env_vars"]["PYTHONPATH"].split(os.pathsep)
    assert os.path.isdir(os.path.join(path[0], "rayjobs"))
    assert path[1:] == ["/theirs"]


def holds(monkeypatch: pytest.MonkeyPatch, whole: Capacity, free: Capacity | None = None) -> None:
    monkeypatch.setattr(cluster, "whole_capacity", lambda: whole)
    monkeypatch.setattr(cluster, "free_capacity", lambda: free or whole)


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
    made = scaling(workers)
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
    made = scaling(workers)
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
        scaling(3)


def test_a_cluster_with_gpus_can_be_asked_for_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    holds(monkeypatch, nodes(8, gpus=4))
    assert scaling(2, use_gpu=False).resources_per_worker == {"CPU": 4}


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
