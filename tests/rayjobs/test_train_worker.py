import pickle
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray.train
from torch import distributed as dist

from cdcore.pictures import read_pictures
from cdcore.run_directory import RunDirectory
from cdcore.training import StepMetrics
from rayjobs import train_worker
from rayjobs.checkpoints import seal, step_of
from rayjobs.train_worker import TrainTask
from tests.cdcore.training_case import config
from tests.rayjobs.train_case import write_pictures


class Engine:
    """Saves and loads one file."""

    def __init__(self) -> None:
        self.loaded: list[Path] = []

    def save(self, folder: Path) -> None:
        (folder / "engine.pt").write_bytes(b"state")

    def load(self, folder: Path) -> None:
        self.loaded.append(folder)


class Trainer:
    """Takes its steps at once."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def run(self, start: int, on_step: Any) -> None:
        for step in range(start + 1, self.steps + 1):
            on_step(StepMetrics(step=step, loss=1, target_loss=1, prior_loss=None, seconds=0.1))


@pytest.fixture
def task(tmp_path: Path) -> TrainTask:
    pictures = read_pictures(write_pictures(tmp_path / "images"))
    return TrainTask(
        config=config(steps=7),
        base="pocket",
        pictures=[pictures],
        targets=[pictures],
        run=RunDirectory(tmp_path / "runs" / "mycat"),
        cache=tmp_path / "cache",
        zero_stage=0,
        checkpoint_every=3,
        sample_seeds=(0,),
    )


@pytest.fixture
def reported(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """What Ray was told: the checkpoint's name, and the step its folder holds."""
    told: list[tuple[str, int]] = []

    def report(metrics: dict[str, Any], checkpoint: Any, checkpoint_dir_name: str) -> None:
        folder = Path(checkpoint.path)
        assert (folder / "engine.pt").read_bytes() == b"state"
        told.append((checkpoint_dir_name, step_of(folder)))

    monkeypatch.setattr(ray.train, "report", report)
    monkeypatch.setattr(dist, "get_rank", lambda: 0)
    monkeypatch.setattr(dist, "get_world_size", lambda: 1)
    return told


def test_checkpoints_are_made_at_their_steps_and_at_the_end(
    task: TrainTask, reported: list[tuple[str, int]]
) -> None:
    train_worker._train(task, Trainer(7), Engine(), 0)  # type: ignore[arg-type]
    assert reported == [("step-000003", 3), ("step-000006", 6), ("step-000007", 7)]
    assert [line["step"] for line in task.run.read_metrics()] == [1, 2, 3, 4, 5, 6, 7]


def test_steps_that_are_done_again_are_written_once(
    task: TrainTask, reported: list[tuple[str, int]]
) -> None:
    train_worker._train(task, Trainer(5), Engine(), 0)  # type: ignore[arg-type]
    train_worker._train(task, Trainer(7), Engine(), 3)  # type: ignore[arg-type]
    assert [line["step"] for line in task.run.read_metrics()] == [1, 2, 3, 4, 5, 6, 7]
    assert [step for _, step in reported] == [3, 6, 7]


def test_a_worker_goes_on_from_ray_s_checkpoint_else_from_the_driver_s(
    task: TrainTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [tmp_path / "ray", tmp_path / "driver"]
    for folder, step in zip(folders, (8, 4), strict=True):
        folder.mkdir()
        seal(folder, step=step, worker=0, workers=1)
    engine = Engine()
    monkeypatch.setattr(ray.train, "get_checkpoint", lambda: None)
    assert train_worker._resume(engine, task) == 0  # type: ignore[arg-type]
    later = replace(task, checkpoint=folders[1])
    assert train_worker._resume(engine, later) == 4  # type: ignore[arg-type]
    monkeypatch.setattr(ray.train, "get_checkpoint", lambda: SimpleNamespace(path=str(folders[0])))
    assert train_worker._resume(engine, later) == 8  # type: ignore[arg-type]
    assert engine.loaded == [folders[1], folders[0]]


def test_a_task_crosses_to_another_process_with_its_pictures(task: TrainTask) -> None:
    there: TrainTask = pickle.loads(pickle.dumps(task))
    assert there.config == task.config
    assert [picture.digest for picture in there.pictures[0]] == [
        picture.digest for picture in task.pictures[0]
    ]
    assert there.pictures[0][2].image.tobytes() == task.pictures[0][2].image.tobytes()
