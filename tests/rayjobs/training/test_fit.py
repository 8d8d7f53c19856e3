"""Tests of `rayjobs.training.fit`."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import ray.exceptions
import ray.train
from ray.train import ScalingConfig
from ray.train.torch import TorchTrainer

from cdcore.errors import PictureError, RunError
from cdcore.training.trainer import StepMetrics
from rayjobs.training.fit import fit
from rayjobs.training.task import TrainTask


def test_a_process_that_only_starts_workers_imports_no_model() -> None:
    script = "import rayjobs.training.fit, sys; sys.stdout.write(' '.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    heavy = {"diffusers", "transformers", "deepspeed"}
    assert not heavy & set(done.stdout.split())


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (ray.train.WorkerGroupError("x", {0: PictureError("cat.png is no picture")}), PictureError),
        (SystemExit(1), KeyboardInterrupt),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_what_ray_train_ends_with_is_what_the_user_can_mend(
    raised: BaseException,
    expected: type[BaseException],
    task: TrainTask,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def end(_: Any) -> None:
        raise raised

    monkeypatch.setattr(TorchTrainer, "fit", end)
    with pytest.raises(expected):
        fit(task, ScalingConfig(num_workers=1), tmp_path / "notes")


def test_where_workers_are_lost_others_go_on_as_long_as_they_get_further(
    task: TrainTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, told, sessions = ray.exceptions.ActorDiedError(), list[str](), list[str]()
    reached = iter([0, 2, 5, 5])

    def lose_a_worker(trainer: Any) -> None:
        again: TrainTask = trainer.train_loop_config["task"]
        again.run.check_claim(again.session)
        sessions.append(again.session)
        for step in range(again.run.last_step + 1, next(reached) + 1):
            again.run.append_metrics(
                StepMetrics(step=step, loss=1, target_loss=1, prior_loss=None, seconds=0.1)
            )
        raise ray.train.WorkerGroupError("x", {1: gone})

    monkeypatch.setattr(TorchTrainer, "fit", lose_a_worker)
    task.run.claim(task.session)
    with pytest.raises(RunError, match="worker 1 was lost after step 5: its process"):
        fit(task, ScalingConfig(num_workers=2), tmp_path / "notes", tell=told.append)
    assert [line.partition(",")[0] for line in told] == [
        "worker 1 was lost after step 0",
        "worker 1 was lost after step 2",
        "worker 1 was lost after step 5",
    ]
    assert len(set(sessions)) == 4
    # Whoever was lost sight of and lives on may not write any more.
    with pytest.raises(RunError):
        task.run.check_claim(sessions[0])


def test_a_run_that_another_has_taken_over_is_left_to_it(
    task: TrainTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose_the_run(_: Any) -> None:
        task.run.append_metrics(
            StepMetrics(step=1, loss=1, target_loss=1, prior_loss=None, seconds=0.1)
        )
        task.run.claim("stopped")
        raise ray.train.WorkerGroupError("x", {0: ray.exceptions.ActorDiedError()})

    monkeypatch.setattr(TorchTrainer, "fit", lose_the_run)
    task.run.claim(task.session)
    with pytest.raises(RunError, match="started again"):
        fit(task, ScalingConfig(num_workers=1), tmp_path / "notes")
    task.run.check_claim("stopped")
