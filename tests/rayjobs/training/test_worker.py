from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import ray.train
from torch import distributed as dist

from cdcore.errors import RunError
from cdcore.training.trainer import StepMetrics
from rayjobs.runs.checkpoints import finish_checkpoint, writing_folder
from rayjobs.training import worker as train_worker
from rayjobs.training.task import ScorePlan, TrainTask


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
def test_a_run_that_goes_on_counts_the_steps_of_its_earlier_starts(task: TrainTask) -> None:
    train(task, 5)
    train(task, 7, 3)
    # Steps 4 and 5 were done twice; what was done before the last start are three.
    assert train_worker._seconds_of_steps(task, 3) == pytest.approx(0.3)
    assert train_worker._seconds_of_steps(task, 0) == 0


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


def test_a_run_that_is_scored_tells_ray_its_scores_and_nothing_twice(
    task: TrainTask, reported: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Counting:
        def __init__(self, *_: Any) -> None:
            self.made = 0.0

        def scores(self, _: Any) -> dict[str, float]:
            self.made += 1
            return {"image_alignment": self.made}

    monkeypatch.setattr(train_worker, "Validation", Counting)
    monkeypatch.setattr(train_worker, "trained_concept", lambda *_: None)
    scored = replace(task, scoring=ScorePlan(every=3, prompts=1, seeds=1))
    score = train_worker._scorer(scored, None, None)  # type: ignore[arg-type]
    train_worker._train(scored, Trainer(7), Engine(), 0, score)  # type: ignore[arg-type]
    expected = [{"step": 3, "image_alignment": 1.0}, {"step": 6, "image_alignment": 2.0}]
    assert reported == expected
    assert task.run.read_scores() == expected
    # Killed after its checkpoint of step 3, and started again.
    reported.clear()
    score = train_worker._scorer(scored, None, None)  # type: ignore[arg-type]
    train_worker._train(scored, Trainer(7), Engine(), 3, score)  # type: ignore[arg-type]
    assert reported == []
    metrics = {
        "image_alignment": {"base": 0.25, "concept": 0.5},
        "text_alignment": {"base": 0.5, "concept": 0.375},
        "prior_drift": 0.125,
    }
    train_worker._report_end(scored, {"status": "finished", "metrics": metrics})
    (last,) = reported
    assert (last["step"], last["image_alignment"], last["prior_drift"]) == (7, 0.5, 0.125)
    assert task.run.read_summary()["status"] == "finished"
    assert task.run.read_scores()[-1] == last
