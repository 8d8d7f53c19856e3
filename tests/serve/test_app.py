"""Tests of `serve.app`: its configuration file, and a service on a cluster of its own."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray import serve as ray_serve

from cdcore.concepts.storage import save_concept
from cdcore.errors import BaseModelError, ConfigError
from cdcore.model.base import Base
from cdcore.registry.registry import Registry
from deploy.monitoring.panels import of_service
from serve.api_keys import add_key
from serve.app import app
from serve.settings import ServiceSettings
from tests.deploy.monitoring.promql import names_in
from tests.ray_metrics import samples_of
from tests.serve.service_case import make_concept, save_mergeable

ROOT = Path(__file__).resolve().parent.parent.parent
PATIENCE_S = 1500.0


def config_text() -> str:
    return (ROOT / "serve" / "config.yaml").read_text()


def test_both_applications_of_the_configuration_are_possible(tmp_path: Path) -> None:
    add_key(tmp_path / "keys.json", owner="alice")
    shown = config_text().replace("/shared/keys.json", str(tmp_path / "keys.json"))
    start = shown.index("  # - name:")
    hidden = shown[start:].replace("  # ", "  ")
    for text, replicas, gpus in (
        (shown, 1, None),
        (shown[: shown.index("  - name")] + hidden, 8, 1),
    ):
        (application,) = yaml.safe_load(text)["applications"]
        assert application["import_path"] == "serve.app:app"
        settings = ServiceSettings.model_validate(application["args"])
        assert (settings.min_replicas, settings.gpus) == (replicas, gpus)
        assert isinstance(app(settings), ray_serve.Application)


def test_a_proxy_that_hides_clients_needs_keys(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RAY_SERVE_ENABLE_HA_PROXY", "1")
    with pytest.raises(ConfigError, match="give a file of API keys"):
        app(ServiceSettings())
    keys = tmp_path / "keys.json"
    add_key(keys, owner="alice")
    assert app(ServiceSettings(keys=str(keys)))


def test_a_base_or_a_file_of_keys_that_is_not_there_is_refused_before_anything_is_deployed(
    tmp_path: Path,
) -> None:
    with pytest.raises(BaseModelError, match="cannot be loaded"):
        app(ServiceSettings(base=str(tmp_path / "none")))
    with pytest.raises(ConfigError, match="not a file of API keys"):
        app(ServiceSettings(keys=str(tmp_path / "none.json")))


@dataclass
class Running:
    """A service in processes of its own."""

    address: str
    metrics: str
    registry: Registry

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.address + path, timeout=PATIENCE_S) as answer:
            return json.load(answer)

    def draw(self, body: dict[str, Any]) -> Any:
        request = urllib.request.Request(
            f"{self.address}/v1/images/generations",
            json.dumps(body).encode(),
            {"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return json.load(answer)


@pytest.fixture(scope="module")
def service(
    tiny_base: Base, tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("service")
    # Names as people have them, and a path as it stands in a shell's command.
    registry = Registry(folder / "my concepts%20#?")
    for name, file in save_mergeable(tiny_base, folder).items():
        if name != "mydog":
            registry.publish(file)
    with socket.socket() as one, socket.socket() as other:
        for free in (one, other):
            free.bind(("127.0.0.1", 0))
        port, metrics_port = (int(free.getsockname()[1]) for free in (one, other))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "RAY_worker_niceness": "0"}
    environment["FOLDER"] = str(folder)
    environment.pop("RAY_ADDRESS", None)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "serve", "--base", str(tiny_folder), "--slots", "3"),
                *("--registry=$FOLDER/my concepts%20#?", "--port", str(port)),
                *("--metrics-port", str(metrics_port)),
            ],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=log,
        )
    assert process.stdout is not None
    try:
        first = process.stdout.readline().decode()
        assert "serving base" in first, (folder / "log").read_text()[-4000:]
        yield Running(
            f"http://127.0.0.1:{port}", f"http://127.0.0.1:{metrics_port}/metrics", registry
        )
    finally:
        process.send_signal(signal.SIGTERM)
        process.stdout.close()
        assert process.wait(PATIENCE_S) == 0


@pytest.mark.ray
def test_openai_s_own_client_draws_merges_streams_and_is_refused(service: Running) -> None:
    from openai import NotFoundError, OpenAI

    with OpenAI(base_url=f"{service.address}/v1", api_key="none") as client:
        ids = {model.id for model in client.models.list()}
        assert {"mycat", "mychair"} < ids
        answer = client.images.generate(
            model="mycat+mychair",
            prompt="a <mycat> cat on a <mychair> chair",
            n=2,
            size="64x64",
            extra_body={"num_inference_steps": 2, "seed": 3},
        )
        assert answer.data is not None
        assert len(answer.data) == 2
        assert answer.data[0].b64_json
        extra = answer.model_extra or {}
        assert 0 < extra["provenance"]["residuals"]["mycat.held_out"] < 1
        assert extra["warnings"] == []
        long = client.images.generate(
            prompt=f"a <mycat> cat {'in the snow ' * 14}by a (<mychair>:1.2)",
            extra_body={"num_inference_steps": 1},
        )
        told = long.model_extra or {}
        assert [line.partition(" is ")[0] for line in told["warnings"][:1]] == ["'(<mychair>:1.2)'"]
        assert "and with it <mychair>" in told["warnings"][1]
        assert {used["name"]: used["unread"] for used in told["provenance"]["concepts"]} == {
            "mycat": False,
            "mychair": True,
        }
        linked = client.images.generate(
            model="mycat", prompt="a <mycat> cat", response_format="url",
            extra_body={"num_inference_steps": 1},
        )  # fmt: skip
        assert linked.data is not None
        with urllib.request.urlopen(str(linked.data[0].url), timeout=PATIENCE_S) as picture:
            assert picture.read(8) == b"\x89PNG\r\n\x1a\n"
        events = client.images.generate(
            model="mycat", prompt="a <mycat> cat", stream=True, partial_images=2
        )
        kinds = [event.type for event in events]
        assert kinds == ["image_generation.partial_image"] * 2 + ["image_generation.completed"]
        with pytest.raises(NotFoundError, match="there is no concept 'nobody'"):
            client.images.generate(model="nobody", prompt="a cat")


@pytest.mark.ray
def test_what_is_published_is_served_within_seconds_without_a_restart(
    service: Running, tiny_base: Base, tmp_path: Path
) -> None:
    save_concept(make_concept(tiny_base, "mydog"), tmp_path / "mydog.safetensors", tiny_base)
    service.registry.publish(tmp_path / "mydog.safetensors")
    started = time.monotonic()
    while "mydog" not in {one["id"] for one in service.get("/v1/concepts")["data"]}:
        assert time.monotonic() - started < PATIENCE_S
        time.sleep(0.1)
    told = service.draw({"prompt": "a <mydog> dog", "num_inference_steps": 1})["provenance"]
    assert [used["name"] for used in told["concepts"]] == ["mydog"]


@pytest.mark.ray
@pytest.mark.parametrize("is_stream", [False, True])
def test_a_client_that_hangs_up_frees_its_rows(service: Running, is_stream: bool) -> None:
    body = {"prompt": "a cat", "n": 10, "num_inference_steps": 1000, "stream": is_stream}
    text = json.dumps(body).encode()
    host, port = service.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(
            b"POST /v1/images/generations HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(text)
        )
        connection.sendall(text)
        deadline = time.monotonic() + PATIENCE_S
        while not service.get("/readyz")["drain_seconds"]:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        left_s = service.get("/readyz")["drain_seconds"]
    started = time.monotonic()
    while service.get("/readyz")["drain_seconds"]:
        assert time.monotonic() - started < PATIENCE_S
        time.sleep(0.05)
    assert time.monotonic() - started < max(left_s / 2, 5)


@pytest.mark.ray
def test_prometheus_reads_the_engine_s_figures(service: Running) -> None:
    # What only grows is there once it has grown: a merge and a second request make most do so, and
    # the others have the same names in the tests of the telemetry.
    idle = ("failed", "refused", "cancelled", "concepts_from_host", "concepts_from_disk")
    wanted = names_in("Service") - {of_service(name) for name in idle}
    assert of_service("merges_recent") in wanted
    for _ in range(2):
        service.draw(
            {
                "model": "mycat+mychair",
                "prompt": "a <mycat> cat on a <mychair> chair",
                "num_inference_steps": 1,
            }
        )
    deadline = time.monotonic() + PATIENCE_S
    found: set[str] = set()
    while not wanted <= found:
        assert time.monotonic() < deadline, sorted(wanted - found)
        time.sleep(0.5)
        found = {name for name, _, _ in samples_of(service.metrics)}
