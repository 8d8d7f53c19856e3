"""A cluster of several nodes, whose head has no CPUs: one is killed, one comes late.

The nodes are processes of this machine with addresses of their own; what runs on one dies with it.
"""

import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from rayjobs.config.training import TrainJob
from rayjobs.runs.run_directory import RunDirectory
from tests.ray_head import Head
from tests.rayjobs.evaluate_case import job as evaluate_job
from tests.rayjobs.forked_script import ForkedScript
from tests.rayjobs.test_train import Training, lines_of, update_of
from tests.rayjobs.train_case import flags, job, write_pictures

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
