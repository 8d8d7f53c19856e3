import pickle
from pathlib import Path
from typing import Any

import pytest
import ray.train
from torch import distributed as dist

from cdcore.errors import RunError
from cdcore.pictures import read_pictures
from cdcore.run_directory import RunDirectory
from cdcore.training import StepMetrics
from rayjobs import train_worker
from rayjobs.checkpoints import finish_checkpoint, writing_folder
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
        identity="abc",
        session="now",
    )


@pytest.fixture
def reported(task: TrainTask, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What Ray was told by the one worker of a run."""
    told: list[dict[str, Any]] = []

    monkeypatch.setattr(ray.train, "report", told.append)
    monkeypatch.setattr(dist, "get_rank", lambda: 0)
    monkeypatch.setattr(dist, "barrier", lambda: None)
    monkeypatch.setattr(dist, "broadcast_object_list", lambda objects, src: None)
    task.run.claim(task.session)
    return told


def checkpoints(task: TrainTask) -> list[str]:
    return sorted(path.name for path in task.run.checkpoints.iterdir())


def train(task: TrainTask, steps: int, first: int = 0) -> None:
    train_worker._train(task, Trainer(steps), Engine(), first)  # type: ignore[arg-type]


def test_checkpoints_are_made_at_their_steps_and_ray_hears_of_the_last(
    task: TrainTask, reported: list[dict[str, Any]]
) -> None:
    train(task, 6)
    assert checkpoints(task) == ["step-000003", "step-000006"]
    assert reported == []
    train(task, 7, 6)
    assert checkpoints(task) == ["step-000006", "step-000007"]
    last = task.run.checkpoints / "step-000007"
    assert reported == [{"step": 7, "loss": 1}]
    assert (last / "engine.pt").read_bytes() == b"state"
    assert [line["step"] for line in task.run.read_metrics()] == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.usefixtures("reported")
def test_steps_that_are_done_again_are_written_once(task: TrainTask) -> None:
    train(task, 5)
    train(task, 7, 3)
    assert [line["step"] for line in task.run.read_metrics()] == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.usefixtures("reported")
def test_workers_of_an_earlier_start_stop_at_their_next_step(task: TrainTask) -> None:
    train(task, 4)
    task.run.claim("later")
    with pytest.raises(RunError, match="started again"):
        train(task, 7, 4)
    with pytest.raises(RunError, match="started again"):
        train_worker._resume(Engine(), task)  # type: ignore[arg-type]
    assert [line["step"] for line in task.run.read_metrics()] == [1, 2, 3, 4]
    assert checkpoints(task) == ["step-000003"]


@pytest.mark.usefixtures("reported")
def test_a_worker_goes_on_from_the_last_whole_checkpoint(task: TrainTask) -> None:
    engine = Engine()
    assert train_worker._resume(engine, task) == 0  # type: ignore[arg-type]
    for step in (4, 8):
        writing = writing_folder(task.run.checkpoints, session="s", step=step)
        writing.mkdir(parents=True)
        engine.save(writing)
        finish_checkpoint(writing, step=step, identity=task.identity)
    (task.run.checkpoints / "step-000008" / "engine.pt").write_bytes(b"")
    assert train_worker._resume(engine, task) == 4  # type: ignore[arg-type]
    assert engine.loaded == [task.run.checkpoints / "step-000004"]
    assert checkpoints(task) == ["step-000004"]


def test_a_task_crosses_to_another_process_with_its_pictures(task: TrainTask) -> None:
    there: TrainTask = pickle.loads(pickle.dumps(task))
    assert there.config == task.config
    assert [picture.digest for picture in there.pictures[0]] == [
        picture.digest for picture in task.pictures[0]
    ]
    assert there.pictures[0][2].image.tobytes() == task.pictures[0][2].image.tobytes()
