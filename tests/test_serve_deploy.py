"""One cluster of two CPUs that serves and trains: ``serve deploy`` with two engines over a registry
in S3, and a training job that is submitted while clients ask for pictures.

The cluster's Python has the libraries; the code comes with the configuration and with the job.
"""

import json
import os
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from cdcore.model.base import Base
from cdcore.registry.registry import Registry
from rayjobs.config.training import TrainJob
from tests.checkout import copy_checkout
from tests.ray_head import Head, bare_python, environment, free_port
from tests.rayjobs.train_case import flags, job, write_pictures
from tests.s3 import s3_server
from tests.serve.service_case import save_mergeable

ROOT = Path(__file__).resolve().parent.parent
PATIENCE_S = 1500

pytestmark = pytest.mark.ray


class Cluster:
    """A head, and the address of what it serves."""

    def __init__(self, head: Head, address: str, sessions: Path, registry: str) -> None:
        self.head, self.address, self.registry = head, address, registry
        self._logs = sessions / "session_latest" / "logs" / "serve"

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.address + path, timeout=PATIENCE_S) as answer:
            return json.load(answer)

    def draw(self, prompt: str) -> Any:
        body = {"prompt": prompt, "num_inference_steps": 2}
        request = urllib.request.Request(
            f"{self.address}/v1/images/generations",
            json.dumps(body).encode(),
            {"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return json.load(answer)

    def drawn_by_engine(self) -> Counter[str]:
        """Requests that each replica has drawn, by the log of each."""
        files = self._logs.glob("replica_*Engine*.log")
        counts = {file.name: file.read_text().count("draw") for file in files}
        return Counter({name: count for name, count in counts.items() if count})

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                self.get("/readyz")
                return
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.3)


@pytest.fixture(scope="module")
def cluster(
    tiny_base: Base, tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("cluster")
    python = bare_python(folder / "python")
    with (
        s3_server() as options,
        tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as sessions,
    ):
        registry = f"s3://key:secret@bucket/concepts?{options}"
        for name, file in save_mergeable(tiny_base, folder).items():
            if name != "mydog":
                Registry(registry).publish(file)
        port = free_port()
        settings = yaml.safe_load((ROOT / "serve" / "config.yaml").read_text())
        settings["http_options"]["port"] = port
        (application,) = settings["applications"]
        paths = os.pathsep.join([str(ROOT), environment(python)["PYTHONPATH"]])
        application["runtime_env"] = {"env_vars": {"PYTHONPATH": paths}}
        application["args"] = {
            "base": str(tiny_folder),
            "registry": registry,
            "poll_s": 0.5,
            "slots": 2,
            "min_replicas": 2,
            "max_replicas": 2,
            "cpus": 0.5,
        }
        configuration = folder / "config.yaml"
        configuration.write_text(yaml.safe_dump(settings))
        head = Head(python, folder, Path(sessions))
        try:
            done = head.deploy(configuration)
            assert done.returncode == 0, done.stdout
            served = Cluster(head, f"http://127.0.0.1:{port}", Path(sessions), registry)
            served.wait_until_ready()
            yield served
        finally:
            head.stop()


@pytest.fixture
def teaching(tiny_folder: Path, tmp_path: Path, cluster: Cluster) -> TrainJob:
    write_pictures(tmp_path / "images", 4)
    changes = {"name": "mydog", "class_noun": "dog", "steps": 60, "registry": cluster.registry}
    return job(tmp_path, tiny_folder, **changes)


def test_a_job_trains_on_a_cluster_that_serves_and_both_engines_draw_what_it_publishes(
    cluster: Cluster, teaching: TrainJob, tmp_path: Path
) -> None:
    checkout = tmp_path / "checkout"
    copy_checkout(checkout)
    prompt, drawn, is_over = "a <mycat> cat on a <mychair> chair", [], threading.Event()

    def keep_asking() -> None:
        while not is_over.is_set():
            drawn.append(cluster.draw(prompt))

    with ThreadPoolExecutor(1) as clients:
        asking = clients.submit(keep_asking)
        try:
            done = cluster.head.submit(
                *("--working-dir", ".", "--"),
                *("python", "rayjobs/train.py", *flags(teaching)),
                folder=checkout,
            )
        finally:
            is_over.set()
        asking.result()
    assert done.returncode == 0, done.stdout
    assert len(drawn) > 1
    (published,) = Registry(cluster.registry).versions("mydog")

    def names() -> set[str]:
        return {one["id"] for one in cluster.get("/v1/concepts")["data"]}

    deadline = time.monotonic() + PATIENCE_S
    while "mydog" not in names():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    before = cluster.drawn_by_engine()
    with ThreadPoolExecutor(8) as clients:
        # Which engine draws is chosen at random.
        while len(cluster.drawn_by_engine() - before) < 2:
            assert time.monotonic() < deadline
            answers = list(clients.map(cluster.draw, ["a <mydog> dog"] * 24))
            (version,) = {one["provenance"]["concepts"][0]["version"] for one in answers}
            assert version == published


def test_a_second_service_on_the_cluster_is_one_line_and_ends_nobody_s_application(
    cluster: Cluster,
) -> None:
    serve = ("-m", "serve", "--port", str(free_port()))
    done = cluster.head.run(*serve, folder=ROOT)
    assert done.returncode == 2
    assert done.stderr.startswith("error: Ray Serve runs already on the cluster")
    assert "customdiffusion" in done.stderr
    assert done.stderr.count("\n") == 1
    cluster.get("/readyz")
