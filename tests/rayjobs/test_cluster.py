import os
import signal
from typing import Any

import pytest
import ray
import ray.exceptions

from cdcore.errors import ConfigError
from rayjobs.cluster import connected, scaling


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


@pytest.mark.parametrize(
    ("resources", "workers", "each", "use_gpu"),
    [
        ({"CPU": 8.0}, 1, {"CPU": 8}, False),
        ({"CPU": 8.0}, 3, {"CPU": 2}, False),
        ({"CPU": 8.0, "GPU": 4.0}, 4, None, True),
    ],
)
def test_workers_take_a_gpu_each_or_share_the_cpus(
    monkeypatch: pytest.MonkeyPatch,
    resources: dict[str, float],
    workers: int,
    each: dict[str, float] | None,
    use_gpu: bool,
) -> None:
    monkeypatch.setattr(ray, "cluster_resources", lambda: resources)
    made = scaling(workers)
    assert (made.num_workers, made.use_gpu) == (workers, use_gpu)
    assert made.resources_per_worker == each


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        ({"CPU": 2.0}, "3 workers, but the cluster has 2 CPUs; give at most 2"),
        ({"CPU": 64.0, "GPU": 1.0}, "3 workers, but the cluster has 1 GPU"),
    ],
)
def test_more_workers_than_the_cluster_holds_are_refused(
    monkeypatch: pytest.MonkeyPatch, resources: dict[str, float], message: str
) -> None:
    monkeypatch.setattr(ray, "cluster_resources", lambda: resources)
    with pytest.raises(ConfigError, match=message):
        scaling(3)
