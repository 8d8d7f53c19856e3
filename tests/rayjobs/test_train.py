"""The training job as a user starts it: the script, a cluster of its own, two workers."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest
import torch
import yaml

from cdcore.base import Base
from cdcore.concept import load_concept
from cdcore.run_directory import RunDirectory
from rayjobs.train_job import TrainJob
from tests.rayjobs.train_case import flags, job, write_pictures

ROOT = Path(__file__).resolve().parent.parent.parent
STEPS = 40


class Ended(NamedTuple):
    run: RunDirectory
    status: int
    out: str
    err: str
    extensions: Path


class Script:
    """``rayjobs/train.py`` in a process of its own."""

    def __init__(self, *arguments: str, folder: Path) -> None:
        self.extensions = folder / "extensions"
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "rayjobs" / "train.py"), *arguments],
            cwd=folder,
            env=os.environ | {"TORCH_EXTENSIONS_DIR": str(self.extensions), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait(self) -> tuple[int, str, str]:
        """Return the exit status, and what the terminal has shown."""
        out, err = self.process.communicate(timeout=400)
        return self.process.returncode, out, err

    def stop_after(self, step: int, run: RunDirectory, how: signal.Signals) -> None:
        """Send a signal once a step is done, and wait until nothing of Ray is left."""
        self._until(lambda: any(line["step"] >= step for line in run.read_metrics()))
        children = psutil.Process(self.process.pid).children(recursive=True)
        assert any("raylet" in child.name() for child in children)
        self.process.send_signal(how)
        self.process.wait(60)
        _, alive = psutil.wait_procs(children, timeout=20)
        if how == signal.SIGKILL:
            # Ray's own agents notice only after minutes.
            for child in alive:
                child.kill()
            self.wait()
        else:
            assert not alive

    def _until(self, is_so: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 200
        while not is_so():
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.fixture(scope="module")
def plain(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainJob:
    folder = tmp_path_factory.mktemp("train")
    write_pictures(folder / "images", 4)
    return job(folder, tiny_folder, steps=STEPS, workers=2, checkpoint_every=10)


@pytest.fixture(scope="module")
def finished(plain: TrainJob) -> Ended:
    """A run from beginning to end without an interruption."""
    script = Script(*flags(plain), folder=plain.output.parent)
    run = RunDirectory(plain.output / plain.name)
    return Ended(run, *script.wait(), script.extensions)


def update_of(run: RunDirectory) -> torch.Tensor:
    return load_concept(run.concept_file).update.dense()


def lines_of(run: RunDirectory) -> list[dict[str, Any]]:
    return [{**line, "seconds": 0} for line in run.read_metrics()]


@pytest.mark.ray
@pytest.mark.timeout(900)
def test_a_run_leaves_what_it_promises(finished: Ended, plain: TrainJob, tiny_base: Base) -> None:
    run = finished.run
    assert finished.status == 0, finished.err
    summary = json.loads(run.summary_file.read_text())
    assert summary["name"] == "mycat"
    assert summary["status"] == "finished"
    assert summary["base"] == plain.base
    assert summary["steps"] == STEPS
    assert 0 < summary["seconds"]["train"] < summary["seconds"]["total"]
    assert summary["seconds"]["prepare"] > 0
    assert summary["concept_file"] == str(run.concept_file)
    assert all(Path(path).is_file() for path in summary["samples"])
    assert {path.name for path in run.samples.iterdir()} == {"before-after-0.png", "inputs.png"}
    assert {path.name for path in run.path.iterdir() if not path.name.startswith(".")} == {
        *("config.yaml", "metrics.jsonl", "run.json", "samples", "curves.png", "tensorboard"),
        *("checkpoints", "mycat.safetensors"),
    }
    assert [line["step"] for line in run.read_metrics()] == list(range(1, STEPS + 1))
    assert yaml.safe_load(run.config_file.read_text())["learning_rate"] == 2e-3
    assert len(list((run.path / "tensorboard").iterdir())) == 1
    assert len(list(run.checkpoints.glob("step-*"))) == 2
    concept = load_concept(run.concept_file)
    concept.check_base(tiny_base)
    assert concept.training["steps"] == STEPS
    assert concept.update.dense().any()
    assert not finished.extensions.exists()


@pytest.mark.ray
@pytest.mark.timeout(900)
def test_the_terminal_shows_our_lines_and_no_others(finished: Ended) -> None:
    run, lines = finished.run, finished.out.splitlines()
    ours = ("teaching '<mycat> cat' to", "regularization images", "training", "sampling")
    assert finished.err == ""
    assert lines[0].endswith("3 on each of 2 workers, 1 of them empty")
    assert all(line.startswith(ours) for line in lines[:-2])
    assert lines[-2:] == [f"pictures: {run.samples}", f"concept:  {run.concept_file}"]


@pytest.mark.ray
@pytest.mark.timeout(900)
def test_two_concepts_trained_jointly_are_one_file_with_a_token_each(
    plain: TrainJob, tiny_base: Base
) -> None:
    folder = plain.output.parent
    write_pictures(folder / "seat", 6)
    concepts = [
        {"images": "images", "class_noun": "cat", "name": "tom"},
        {"images": "seat", "class_noun": "chair"},
    ]
    folders = {"base": plain.base, "cache": str(plain.cache), "output": str(folder / "joint")}
    small = {"steps": 3, "variants": 2, "sample_seeds": [0], "regularization_images": 2}
    settings = {"name": "both", "train": "joint", "concepts": concepts, **folders, **small}
    (folder / "joint.yaml").write_text(yaml.safe_dump(settings))
    status, out, err = Script("--config", "joint.yaml", folder=folder).wait()
    assert (status, err) == (0, "")
    assert out.startswith("teaching '<tom> cat' and '<seat> chair' to ")
    concept = load_concept(folder / "joint" / "both" / "both.safetensors")
    concept.check_base(tiny_base)
    assert concept.phrases == ("<tom> cat", "<seat> chair")
    assert list(concept.tokens) == ["<tom>", "<seat>"]


@pytest.mark.ray
@pytest.mark.timeout(900)
def test_a_killed_run_goes_on_and_ends_as_if_nothing_had_been(
    finished: Ended, plain: TrainJob
) -> None:
    killed = replace(plain, output=plain.output.parent / "killed")
    run = RunDirectory(killed.output / killed.name)
    script = Script(*flags(killed), folder=plain.output.parent)
    script.stop_after(25, run, signal.SIGKILL)
    assert run.read_summary()["status"] == "running"
    # As a kill in the middle of writing leaves them.
    (run.checkpoints / "checkpoint_manager_snapshot.json").write_text('{"ray_version": ')
    (run.checkpoints / "step-000035").mkdir()
    status, _, err = Script(*flags(killed), folder=plain.output.parent).wait()
    assert (status, err) == (0, "")
    assert torch.equal(update_of(run), update_of(finished.run))
    assert lines_of(run) == lines_of(finished.run)


@pytest.mark.ray
@pytest.mark.timeout(900)
def test_an_interrupted_run_under_zero_2_says_so_and_goes_on(
    finished: Ended, plain: TrainJob
) -> None:
    stopped = replace(plain, output=plain.output.parent / "stopped", zero_stage=2)
    run = RunDirectory(stopped.output / stopped.name)
    script = Script(*flags(stopped), folder=plain.output.parent)
    script.stop_after(15, run, signal.SIGINT)
    status, out, err = script.wait()
    assert (status, err) == (130, "interrupted\n")
    assert out.endswith("the same command goes on from the last checkpoint\n")
    assert run.read_summary()["status"] == "interrupted"
    status, _, err = Script(*flags(stopped), folder=plain.output.parent).wait()
    assert (status, err) == (0, "")
    torch.testing.assert_close(update_of(run), update_of(finished.run), rtol=0, atol=1e-4)


@pytest.mark.slow
def test_bad_input_is_one_line_and_status_2(plain: TrainJob) -> None:
    (plain.output.parent / "bad.yaml").write_text("step: 5\n")
    for more, message in (
        (["--images", "/no/such/folder"], "error: /no/such/folder: no such folder"),
        (["--config", "bad.yaml"], "error: bad.yaml: unknown key 'step'; did you mean steps?"),
        (["--learning-rates", "1"], "error: unknown option --learning-rates"),
    ):
        arguments = [*flags(replace(plain, name="bad")), *more]
        status, out, err = Script(*arguments, folder=plain.output.parent).wait()
        assert (status, out) == (2, "")
        assert err.startswith(message)
        assert err.count("\n") == 1
    assert not (plain.output / "bad").exists()
