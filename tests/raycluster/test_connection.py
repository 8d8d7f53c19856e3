import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
import ray
import ray.exceptions
from ray._private import services

from cdcore.errors import ConfigError
from raycluster.connection import connected
from tests.raycluster.head_case import answering


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


@pytest.fixture
def address() -> Iterator[str]:
    """An address where something answers as a head does; nothing else of a cluster."""
    with answering() as place:
        yield place


@pytest.mark.parametrize("around", ["{}", " {}\n"])
def test_a_submitted_job_joins_its_cluster_with_the_user_s_token(
    fake: Ray, address: str, around: str
) -> None:
    os.environ["RAY_ADDRESS"] = around.format(address)
    with connected():
        pass
    assert fake.settings["address"] == address
    assert "include_dashboard" not in fake.settings
    assert "RAY_AUTH_MODE" not in os.environ


@pytest.mark.parametrize("given", ["http://10.0.0.1:8265", "ray://10.0.0.1:10001", "10.0.0.1", " "])
def test_an_address_that_no_driver_can_join_by_is_refused_before_ray_is_asked(
    fake: Ray, given: str
) -> None:
    os.environ["RAY_ADDRESS"] = given
    with pytest.raises(ConfigError, match="RAY_ADDRESS is "):
        connected().__enter__()
    assert fake.settings == {}


@pytest.mark.parametrize(
    "error", [ConnectionError("Failed to connect"), ray.exceptions.AuthenticationError("no token")]
)
def test_a_cluster_that_cannot_be_joined_is_one_line_without_ray_s_noise(
    fake: Ray,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    address: str,
    error: Exception,
) -> None:
    os.environ["RAY_ADDRESS"] = address

    def fail(**_: Any) -> None:
        os.write(2, b"W gcs_client.cc:210: Failed to get cluster ID\n")
        raise error

    monkeypatch.setattr(ray, "init", fail)
    with pytest.raises(ConfigError, match=f"{address} cannot be joined.*TOKEN") as caught:
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


def test_a_job_s_own_pythonpath_is_joined_and_not_refused(
    fake: Ray, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ray.runtime_env.runtime_env import _merge_runtime_env

    os.environ["PYTHONPATH"] = "/job/src"
    with connected():
        pass
    given = {
        "env_vars": {"PYTHONPATH": "/job/src", "MINE": "1"},
        "pip": ["six"],
        "excludes": ["*.mp4"],
        "working_dir": "gcs://_ray_pkg_1.zip",
    }
    merged: Any = _merge_runtime_env(
        given,  # type: ignore[arg-type]
        fake.settings["runtime_env"],
        override=os.environ["RAY_OVERRIDE_JOB_RUNTIME_ENV"] == "1",
    )
    paths = merged["env_vars"].pop("PYTHONPATH").split(os.pathsep)
    assert os.path.isdir(os.path.join(paths[0], "rayjobs"))
    assert paths[1:] == ["/job/src"]
    assert merged == given | {"env_vars": {"MINE": "1"}}


def test_a_cluster_of_another_version_is_one_line(
    fake: Ray, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    def fail(**_: Any) -> None:
        raise RuntimeError("Version mismatch: The cluster was started with:\n    Ray: 2.0.0")

    os.environ["RAY_ADDRESS"] = address
    monkeypatch.setattr(ray, "init", fail)
    with pytest.raises(ConfigError, match=f"{address} cannot be joined: Version mismatch"):
        connected().__enter__()


def test_a_cluster_on_this_machine_is_joined_where_ray_finds_it(
    fake: Ray, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    os.environ["RAY_ADDRESS"] = "auto"
    monkeypatch.setattr(services, "canonicalize_bootstrap_address", lambda _: address)
    with connected():
        pass
    assert fake.settings["address"] == address
