"""The training job as a user starts it: a cluster of its own, two workers."""

import json
import os
import random
import re
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

from cdcore.concepts.storage import load_concept
from cdcore.model.base import Base
from rayjobs import train
from rayjobs.config.training import TrainJob
from rayjobs.runs.run_directory import RunDirectory
from tests.rayjobs.forked_script import PATIENCE_S, ForkedScript
from tests.rayjobs.train_case import flags, job, write_pictures

SCRIPT = Path(train.__file__)
STEPS = 200
"""More than workers take in the seconds that they outlive their driver."""


class Ended(NamedTuple):
    run: RunDirectory
    status: int
    out: str
    err: str
    extensions: Path


class Training(ForkedScript):
    """``rayjobs/train.py``, and how far it has come."""

    def __init__(
        self,
        *arguments: str,
        folder: Path,
        run: RunDirectory | None = None,
        **environment: str,
    ) -> None:
        self.run = run
        self.before = self._claim()
        self.extensions = folder / "extensions"
        super().__init__(
            "rayjobs.train",
            *arguments,
            folder=folder,
            TORCH_EXTENSIONS_DIR=str(self.extensions),
            **environment,
        )

    def wait_for_steps(self, count: int, also: Callable[[], bool] = lambda: True) -> None:
        """Wait until this start of its run has taken so many steps."""
        self.wait_until(lambda: self.steps() >= count and also(), poll_s=0.002)

    def steps(self) -> int:
        """Return how many steps this start of its run has taken."""
        assert self.run is not None
        try:
            phase = json.loads(self.run.phase_file.read_text())
        except (FileNotFoundError, ValueError):
            return 0
        # What an earlier start has left is gone before the claim changes.
        if self._claim() == self.before or phase["phase"] != "training":
            return 0
        return self.run.last_step - int(phase["done"])

    def kill_worker(self) -> None:
        """Kill one of the workers; the others and the driver see to themselves."""
        workers = [child for child in self.children() if is_worker(child)]
        assert len(workers) == 2
        # Steps are counted from the start that takes their place.
        self.before = self._claim()
        workers[1].kill()

    def _claim(self) -> str:
        path = self.run.path / ".session" if self.run is not None else Path("none")
        return path.read_text() if path.is_file() else ""


def is_worker(process: psutil.Process) -> bool:
    try:
        return "RayTrainWorker" in " ".join(process.cmdline())
    except psutil.Error:
        return False


@pytest.fixture(scope="module")
def plain(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainJob:
    folder = tmp_path_factory.mktemp("train")
    write_pictures(folder / "images", 4)
    return job(folder, tiny_folder, steps=STEPS, workers=2)


@pytest.fixture(scope="module")
def finished(plain: TrainJob) -> Ended:
    """A run from beginning to end without an interruption."""
    script = Training(*flags(plain), folder=plain.output.parent)
    run = RunDirectory(plain.output / plain.name)
    return Ended(run, *script.wait(), script.extensions)


def update_of(run: RunDirectory) -> torch.Tensor:
    return load_concept(run.concept_file).update.dense()


def state_of(run: RunDirectory) -> dict[str, torch.Tensor]:
    """Return all tensors of the last checkpoint in float32: update, tokens, both moments."""
    path = run.checkpoints / f"step-{STEPS:06d}" / "engine" / "mp_rank_00_model_states.pt"
    return dict(tensors_in(torch.load(path, weights_only=False)))


def tensors_in(value: Any, name: str = "") -> list[tuple[str, torch.Tensor]]:
    if isinstance(value, torch.Tensor):
        return [(name, value)]
    parts = value.items() if isinstance(value, dict) else ()
    return [found for key, part in parts for found in tensors_in(part, f"{name}/{key}")]


def lines_of(run: RunDirectory) -> list[dict[str, Any]]:
    return [{**line, "seconds": 0} for line in run.read_metrics()]


@pytest.mark.ray
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
    assert summary["seconds"]["earlier"] == 0
    assert summary["concept_file"] == str(run.concept_file)
    assert all(Path(path).is_file() for path in summary["samples"])
    assert {path.name for path in run.samples.iterdir()} == {"before-after-0.png", "inputs.png"}
    assert {path.name for path in run.path.iterdir() if not path.name.startswith(".")} == {
        *("config.yaml", "metrics.jsonl", "run.json", "samples", "curves.png", "tensorboard"),
        *("checkpoints", "mycat.safetensors"),
    }
    assert [line["step"] for line in run.read_metrics()] == list(range(1, STEPS + 1))
    assert yaml.safe_load(run.config_file.read_text())["learning_rate"] == 3e-4
    assert len(list((run.path / "tensorboard").iterdir())) == 1
    assert sorted(path.name for path in run.checkpoints.glob("step-*")) == [
        f"step-{STEPS - 10:06d}",
        f"step-{STEPS:06d}",
    ]
    concept = load_concept(run.concept_file)
    concept.check_base(tiny_base)
    assert concept.training["steps"] == STEPS
    assert concept.update.dense().any()
    assert not finished.extensions.exists()


@pytest.mark.ray
def test_the_terminal_shows_our_lines_and_no_others(finished: Ended) -> None:
    run, lines = finished.run, finished.out.splitlines()
    ours = (
        *("teaching '<mycat> cat' to", "regularization images", "training", "sampling"),
        *("image alignment: ", "text alignment: ", "prior drift: "),
    )
    assert finished.err == ""
    assert lines[0].endswith("3 on each of 2 workers, 1 of them empty")
    assert all(line.startswith(ours) for line in lines[:-2])
    assert lines[-2:] == [f"pictures: {run.samples}", f"concept:  {run.concept_file}"]


@pytest.mark.ray
def test_killed_at_any_moment_it_ends_as_if_nothing_had_been(
    finished: Ended, plain: TrainJob
) -> None:
    folder = plain.output.parent
    seed = int.from_bytes(os.urandom(4), "little")
    sys.stderr.write(f"kills of seed {seed}\n")
    draw = random.Random(seed)
    # The last start asks for more: a run that goes on is also one that is made longer.
    killed = replace(plain, output=folder / "killed", steps=STEPS - 10)
    run = RunDirectory(killed.output / killed.name)

    # Everything at once: while a checkpoint is being written, or soon after.
    script = Training(*flags(killed), folder=folder, run=run)
    script.wait_for_steps(6, also=lambda: any(run.checkpoints.glob(".writing-*")))
    time.sleep(draw.choice((0, draw.uniform(0, 1))))
    script.kill_all()
    assert run.read_summary()["status"] == "running"

    # The driver alone, after any step: the next start meets the workers that it leaves behind.
    script = Training(*flags(killed), folder=folder, run=run)
    script.wait_for_steps(draw.randrange(1, 15))
    left_behind = script.kill()

    # One worker, at any time: two others go on from the last checkpoint.
    script = Training(*flags(killed), folder=folder, run=run)
    script.wait_for_steps(draw.randrange(1, 10))
    time.sleep(draw.uniform(0, 0.3))
    script.kill_worker()

    # Ctrl-C, at any time: in a step, between two, or in a checkpoint.
    script.wait_for_steps(1)
    time.sleep(draw.uniform(0, 1))
    status, out, err = script.interrupt()
    assert (status, err) == (130, "interrupted\n")
    # Ray ranks the workers, and not always in the order in which it starts them.
    assert re.search(r"note: worker [01] was lost after step \d+, its process", out), out
    assert out.endswith("the same command goes on from the last checkpoint\n")
    assert run.read_summary()["status"] == "interrupted"

    # As a kill in the middle of writing leaves Ray's own list, and a copy of a checkpoint.
    (run.path / ".ray" / "killed").mkdir(parents=True)
    for notes in (run.checkpoints, run.path / ".ray" / "killed"):
        (notes / "checkpoint_manager_snapshot.json").write_text('{"ray_version": ')
    (run.checkpoints / f"step-{STEPS - 11:06d}").mkdir(exist_ok=True)
    longer = replace(killed, steps=STEPS)
    Training(*flags(longer), folder=folder).succeed()
    assert run.read_summary()["status"] == "finished"
    ours, theirs = state_of(run), state_of(finished.run)
    assert ours.keys() == theirs.keys()
    assert sum("exp_avg" in name for name in ours) == 4
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert torch.equal(update_of(run), update_of(finished.run))
    assert lines_of(run) == lines_of(finished.run)
    assert not [path for path in run.path.glob(".*") if path.name not in (".lock", ".session")]
    _, alive = psutil.wait_procs(left_behind, timeout=60)
    assert not [process for process in alive if is_worker(process)]


@pytest.mark.slow
def test_bad_input_is_one_line_and_status_2(plain: TrainJob) -> None:
    (plain.output.parent / "bad.yaml").write_text("step: 5\n")
    for more, message in (
        (["--images", "/no/such/folder"], "error: /no/such/folder: no such folder"),
        (["--config", "bad.yaml"], "error: bad.yaml: unknown key 'step'; did you mean steps?"),
        (["--learning-rates", "1"], "error: unknown option --learning-rates"),
    ):
        done = subprocess.run(
            [sys.executable, str(SCRIPT), *flags(replace(plain, name="bad")), *more],
            cwd=plain.output.parent,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(message)
        assert done.stderr.count("\n") == 1
    assert not (plain.output / "bad").exists()
