import json
import pickle
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from ray.train import ScalingConfig

from cdcore.errors import RunError
from rayjobs.runs.run_directory import RunDirectory
from rayjobs.runs.verdict import await_verdict
from rayjobs.training.task import TrainTask
from tests.rayjobs.train_case import train_task
from tests.tune.trials import scores, write_trial
from tune.plan.folder import SweepFolder, TrialRecord
from tune.plan.goal import VALUE, Goal
from tune.running import trial
from tune.running.trial import TrialPlan, plain, run_trial

PATIENCE_S = 300
"""Other work may have the machine."""


@pytest.fixture
def plan(tmp_path: Path) -> TrialPlan:
    task = train_task(tmp_path, run=RunDirectory(tmp_path / "mycat-sweep"))
    return TrialPlan(
        folder=SweepFolder(tmp_path / "mycat-sweep", "mycat"),
        task=task,
        asked={"base": "tiny", "learning_rate": 9.0},
        goal=Goal(text_floor=0.9, drift_ceiling=0.2),
        resources=ScalingConfig(num_workers=1),
    )


class Cluster:
    """In place of Ray: notes what is trained and what Ray Tune is told."""

    def __init__(self) -> None:
        self.tasks: list[TrainTask] = []
        self.told: list[dict[str, Any]] = []
        self.number = 0
        self.error: Exception | None = None
        self.waits_for: Any = None

    def fit(self, task: TrainTask, *_: Any) -> None:
        self.tasks.append(task)
        if self.waits_for is not None:
            self.waits_for(task)
        if self.error is not None:
            raise self.error
        task.run.append_scores(task.config.steps, scores(0.75))
        task.run.write_summary({"status": "finished"})


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    made = Cluster()
    context = SimpleNamespace(get_trial_id=lambda: f"1a2b3_{made.number:05d}")
    monkeypatch.setattr(trial, "fit", made.fit)
    monkeypatch.setattr(trial, "GoalReport", lambda goal: goal)
    monkeypatch.setattr("ray.tune.get_context", lambda: context)
    monkeypatch.setattr("ray.tune.report", made.told.append)
    yield made
    trial._current = None


def again(plan: TrialPlan) -> TrialPlan:
    """What a later start of the sweep gives its trials."""
    shutil.rmtree(plan.folder.notes, ignore_errors=True)
    return replace(plan, known={one.number: one.settings for one in plan.folder.records()})


def record(plan: TrialPlan, number: int = 0) -> TrialRecord:
    found = plan.folder.trial(number).record()
    assert found is not None
    return found


def test_a_trial_trains_its_own_settings_in_its_own_run(plan: TrialPlan, cluster: Cluster) -> None:
    cluster.number = 7
    run_trial({"learning_rate": np.float64(0.25), "steps": np.int64(5)}, plan)
    (task,) = cluster.tasks
    assert (task.config.learning_rate, task.config.steps) == (0.25, 5)
    assert task.config.prior_weight == plan.task.config.prior_weight
    assert task.run.concept_file == plan.folder.path / "trials/007/mycat/mycat.safetensors"
    stored = task.run.read_config()
    assert stored is not None
    assert (stored["base"], stored["learning_rate"], stored["steps"]) == ("tiny", 0.25, 5)
    found = record(plan, 7)
    assert (found.status, found.settings) == ("finished", {"learning_rate": 0.25, "steps": 5})
    assert cluster.told == []


def test_other_settings_are_another_run_and_the_same_ones_the_same(
    plan: TrialPlan, cluster: Cluster
) -> None:
    for number, rate in enumerate((0.25, 0.5, 0.25)):
        cluster.number = number
        run_trial({"learning_rate": rate}, plan)
    first, second, third = cluster.tasks
    assert first.identity == third.identity != second.identity
    assert len({task.session for task in cluster.tasks}) == 3


@pytest.mark.parametrize("status", ["finished", "stopped"])
def test_a_trial_that_has_ended_tells_the_same_again_and_trains_nothing(
    plan: TrialPlan, cluster: Cluster, status: Any
) -> None:
    history = {2: scores(0.5), 4: scores(0.75, drift=0.5)}
    write_trial(plan.folder, 0, {"seed": 7}, history, status)
    run_trial({"seed": 7}, again(plan))
    assert cluster.tasks == []
    assert cluster.told == [
        {"step": 2, **scores(0.5), VALUE: 0.5},
        {"step": 4, **scores(0.75, drift=0.5), VALUE: pytest.approx(-1.3)},
    ]
    assert record(plan).status == status


def test_an_interrupted_trial_tells_what_it_told_and_goes_on(
    plan: TrialPlan, cluster: Cluster
) -> None:
    write_trial(plan.folder, 0, {"seed": 7}, {2: scores(0.5)}, "open")
    run_trial({"seed": 7}, again(plan))
    assert [line["step"] for line in cluster.told] == [2]
    assert [task.config.seed for task in cluster.tasks] == [7]
    assert record(plan).status == "finished"


def test_a_trial_that_fails_says_why_and_is_tried_again_by_another_start(
    plan: TrialPlan, cluster: Cluster
) -> None:
    cluster.error = RunError("the loss is nan")
    with pytest.raises(RunError):
        run_trial({"seed": 7}, plan)
    assert (record(plan).status, record(plan).error) == ("failed", "the loss is nan")
    summary = {"name": "mycat", "status": "failed", "error": "the loss is nan"}
    assert record(plan).run.read_summary() == summary
    cluster.error = None
    run_trial({"seed": 7}, again(plan))
    assert record(plan).status == "finished"


def test_a_trial_that_is_stopped_lets_its_workers_end_and_has_not_failed(
    plan: TrialPlan, cluster: Cluster
) -> None:
    started = threading.Event()

    def work(task: TrainTask) -> None:
        started.set()
        while True:
            task.run.check_claim(task.session)

    cluster.waits_for = work
    driver = threading.Thread(target=run_trial, args=({"seed": 7}, plan), daemon=True)
    driver.start()
    assert started.wait(PATIENCE_S)
    trial._stop()
    driver.join(PATIENCE_S)
    assert not driver.is_alive()
    assert (record(plan).status, record(plan).error) == ("stopped", "")
    assert record(plan).run.read_summary() == {"name": "mycat", "status": "stopped"}


def test_a_run_that_has_finished_is_not_said_to_have_failed_with_its_driver(
    plan: TrialPlan, cluster: Cluster
) -> None:
    cluster.waits_for = lambda task: task.run.write_summary({"status": "finished"})
    cluster.error = RunError("a worker was lost while it ended")
    with pytest.raises(RunError):
        run_trial({"seed": 7}, plan)
    assert (record(plan).status, record(plan).error) == ("finished", "")
    assert record(plan).run.read_summary() == {"status": "finished"}


def test_ending_a_trial_that_has_ended_changes_nothing(plan: TrialPlan, cluster: Cluster) -> None:
    run_trial({"seed": 7}, plan)
    trial._stop()
    note = json.loads((plan.folder.trial(0).path / "trial.json").read_text())
    assert note["status"] == "finished"
    plan.folder.trial(0).run.check_claim(cluster.tasks[0].session)


def test_numbers_of_ray_tune_become_those_of_python() -> None:
    drawn = {"a": np.int64(3), "b": np.bool_(True), "c": np.str_("mean"), "d": 0.5}
    made = plain(drawn)
    assert made == {"a": 3, "b": True, "c": "mean", "d": 0.5}
    assert [type(value) for value in made.values()] == [int, bool, str, float]


def test_a_plan_crosses_to_another_process(plan: TrialPlan) -> None:
    there = pickle.loads(pickle.dumps(plan))
    assert (there.folder, there.goal, there.task.config) == (
        plan.folder,
        plan.goal,
        plan.task.config,
    )


def test_a_trial_may_go_on_after_a_score_only_when_ray_tune_asks_for_the_next_one(
    plan: TrialPlan, cluster: Cluster
) -> None:
    folder = plan.folder.assign("1a2b3_00000", {"learning_rate": 0.5}, {})
    folder.begin({"learning_rate": 0.5})
    folder.run.claim("first")

    class Results:
        def __init__(self) -> None:
            self._results = iter([{"step": 20}, {"step": 40}])

        def step(self) -> dict[str, Any]:
            return next(self._results)

    class Trainable(trial._LeadsItsWorkers, Results):
        """As Ray Tune makes it of `run_trial`."""

    def goes_on(step: int) -> bool:
        started = time.monotonic()
        await_verdict(folder.run, step, session="first", patience_s=0.2)
        return time.monotonic() - started < 0.1

    trial._current = trial._Current(folder=folder, has_ended=threading.Event())
    made = Trainable()
    assert made.step() == {"step": 20}
    assert not goes_on(20)
    assert made.step() == {"step": 40}
    assert goes_on(20)
    assert not goes_on(40)
