"""A cluster of several nodes, whose head has no CPUs: one is killed, one comes late.

The nodes are processes of this machine with addresses of their own; what runs on one dies with it.
"""

import json
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from cdcore.model.base import Base
from cdcore.registry.registry import Registry
from rayjobs.config.training import TrainJob
from rayjobs.runs.run_directory import RunDirectory
from tests.ray_head import Head, free_port
from tests.rayjobs.evaluate_case import job as evaluate_job
from tests.rayjobs.forked_script import ForkedScript
from tests.rayjobs.test_train import Training, lines_of, update_of
from tests.rayjobs.train_case import flags, job, write_pictures
from tests.serve.service_case import save_mergeable
from tests.tune.running.test_tuner import arguments
from tune.plan.folder import SweepFolder

ROOT = Path(__file__).resolve().parent.parent
PATIENCE_S = 600

pytestmark = pytest.mark.ray


class Cluster:
    """A head without CPUs and two nodes of one CPU."""

    def __init__(self, head: Head, folder: Path) -> None:
        self.head, self._folder = head, folder
        self.outside = {"RAY_ADDRESS": head.address, **head.token}
        self.add_node()
        self.add_node()

    def add_node(self) -> None:
        self.head.add_node(self._folder, cpus=1)

    def kill_node(self) -> None:
        self.head.kill_node()


class Service:
    """What a cluster serves, with an engine on each of its nodes."""

    def __init__(self, cluster: Cluster, folder: Path, **settings: Any) -> None:
        self._head, port = cluster.head, free_port()
        self._address = f"http://127.0.0.1:{port}"
        configuration = yaml.safe_load((ROOT / "serve" / "config.yaml").read_text())
        configuration["http_options"]["port"] = port
        configuration["proxy_location"] = "HeadOnly"
        (application,) = configuration["applications"]
        application["runtime_env"] = {"env_vars": {"PYTHONPATH": str(ROOT)}}
        two = {"slots": 2, "min_replicas": 2, "max_replicas": 2, "cpus": 1}
        application["args"] = two | settings
        file = folder / "config.yaml"
        file.write_text(yaml.safe_dump(configuration))
        done = self._head.deploy(file)
        assert done.returncode == 0, done.stdout

    def draw(self, prompt: str) -> tuple[int, str]:
        """Ask for a picture, and return the answer's status and text."""
        asked = urllib.request.Request(
            f"{self._address}/v1/images/generations",
            json.dumps({"prompt": prompt, "num_inference_steps": 2}).encode(),
            {"content-type": "application/json"},
        )
        try:
            with urllib.request.urlopen(asked, timeout=PATIENCE_S) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refusal:
            return refusal.code, refusal.read().decode()

    def engines(self) -> int:
        """Count the engines that are ready, as the cluster sees them."""
        address = f"{self._head.dashboard}/api/serve/applications/"
        with urllib.request.urlopen(address, timeout=PATIENCE_S) as answer:
            applications = json.load(answer)["applications"]
        # Serve tells of each only when it has begun to start it.
        engines = applications.get("customdiffusion", {}).get("deployments", {}).get("Engine", {})
        return sum(one["state"] == "RUNNING" for one in engines.get("replicas", []))


def until(is_so: Callable[[], bool]) -> None:
    """Wait for something."""
    deadline = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("cluster")
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as sessions:
        head = Head(Path(sys.executable), folder, Path(sessions), cpus=0, is_open=True)
        try:
            yield Cluster(head, folder)
        finally:
            head.stop()


@pytest.fixture
def plain(tiny_folder: Path, tmp_path: Path) -> TrainJob:
    write_pictures(tmp_path / "images", 4)
    return job(tmp_path, tiny_folder, steps=60, workers=2, checkpoint_every=20)


def test_a_training_that_loses_a_node_goes_on_with_one_that_comes_late(
    cluster: Cluster, plain: TrainJob, tmp_path: Path
) -> None:
    alone = RunDirectory(plain.output / plain.name)
    Training(*flags(plain), folder=tmp_path).succeed()

    across = replace(plain, output=tmp_path / "across")
    run = RunDirectory(across.output / across.name)
    script = Training(*flags(across), folder=tmp_path, run=run, **cluster.outside)
    script.wait_for_steps(25)
    cluster.kill_node()
    script.wait_until(lambda: "was lost after step" in script.read()[0])
    cluster.add_node()
    out = script.succeed()

    assert "going on from the last checkpoint" in out
    assert torch.equal(update_of(run), update_of(alone))
    assert lines_of(run) == lines_of(alone)


def test_an_evaluation_that_loses_a_node_scores_every_cell(
    cluster: Cluster, tiny_folder: Path, tmp_path: Path
) -> None:
    made = evaluate_job(tmp_path, tiny_folder, workers=2, pictures=17, prompts=2, limit=1)
    cells = made.output / "cells"
    script = ForkedScript("rayjobs.evaluate", *flags(made), folder=tmp_path, **cluster.outside)
    script.wait_until(lambda: len(list(cells.rglob("[!.]*.safetensors"))) >= 3)
    cluster.kill_node()
    script.succeed()
    assert (made.output / "evaluation.md").is_file()
    cluster.add_node()


def test_a_sweep_that_loses_a_node_finishes_every_trial(
    cluster: Cluster, tiny_folder: Path, tmp_path: Path
) -> None:
    write_pictures(tmp_path / "images", 4)
    sweep = SweepFolder(tmp_path / "runs" / "mycat-sweep", "mycat")
    command = arguments(
        sweep,
        tiny_folder,
        *("--search", "learning_rate=1e-3,3e-3", "--method", "grid", "--no-early-stopping"),
        steps=40,
    )
    script = ForkedScript("tune.sweep", *command, folder=tmp_path, **cluster.outside)
    script.wait_until(lambda: any(sweep.trial(number).run.last_step > 10 for number in (0, 1)))
    cluster.kill_node()
    cluster.add_node()
    script.succeed()
    assert [one.status for one in sweep.records()] == ["finished", "finished"]


def test_a_service_that_loses_a_node_answers_from_the_other(
    cluster: Cluster, tiny_base: Base, tiny_folder: Path, tmp_path: Path
) -> None:
    registry = tmp_path / "concepts"
    for file in save_mergeable(tiny_base, tmp_path).values():
        Registry(registry).publish(file)
    service = Service(cluster, tmp_path, base=str(tiny_folder), registry=str(registry))
    until(lambda: service.engines() == 2)

    answers: list[tuple[int, str]] = []
    ended = threading.Event()

    def ask() -> None:
        while not ended.is_set():
            answers.append(service.draw("photo of a <mycat> cat"))

    clients = [threading.Thread(target=ask) for _ in range(4)]
    for client in clients:
        client.start()
    until(lambda: len(answers) > 8)
    cluster.kill_node()
    at = len(answers)
    until(lambda: len([status for status, _ in answers[at:] if status == 200]) > 20)
    cluster.add_node()
    until(lambda: service.engines() == 2)
    ended.set()
    for client in clients:
        client.join()

    assert {status for status, _ in answers[:8]} == {200}
    refused = [(status, told) for status, told in answers if status != 200]
    # The engine that is lost, or Ray Serve in its place, says so.
    assert all(500 <= status < 600 for status, _ in refused), refused
    sys.stderr.write(f"{len(refused)} of {len(answers)} requests to be sent again\n")
    assert {status for status, _ in answers[-4:]} == {200}
