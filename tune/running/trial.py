"""One trial: a driver of the training job, as a function that Ray Tune runs.

It takes no CPU: its workers take them all. It trains as ``rayjobs/train.py`` does, in a run
directory of its own; what the first worker reports goes to Ray Tune with the goal's value beside
it. A trial that was told of before, by a driver that has died, tells Ray Tune the same again and
goes on from there; one that has ended is not trained again.
"""

import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from ray import tune as ray_tune
from ray.train import Checkpoint, ScalingConfig
from ray.tune.integration.ray_train import TuneReportCallback

from cdcore.errors import first_line
from rayjobs.runs.run_directory import RunDirectory
from rayjobs.runs.verdict import allow
from rayjobs.training.fit import fit
from rayjobs.training.identity import digest
from rayjobs.training.task import TrainTask
from tune.plan.folder import SweepFolder, TrialFolder
from tune.plan.goal import VALUE, Goal

__all__ = ["TrialPlan", "plain", "run_trial"]


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialPlan:
    """What all trials of a sweep have in common.

    Attributes:
        folder: The folder of the sweep, on storage that every node shares.
        task: The task of a trial, without its settings and its run.
        asked: The identity of a run with the settings that do not vary.
        goal: What Ray Tune is told beside the scores.
        resources: The resources of the workers of one trial; None until there is a cluster.
        known: Settings of the trials that had begun before this start of the sweep, by number.
    """

    folder: SweepFolder
    task: TrainTask
    asked: Mapping[str, Any]
    goal: Goal
    resources: ScalingConfig | None = None
    known: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)


class GoalReport(TuneReportCallback):
    """Tells Ray Tune of each report of the first worker."""

    def __init__(self, goal: Goal) -> None:
        """Find the trial that this is in.

        Args:
            goal: Whose value is told beside the scores.
        """
        super().__init__()  # type: ignore[no-untyped-call]
        self._goal = goal

    def after_report(
        self, run_context: Any, metrics: list[dict[str, Any]], checkpoint: Checkpoint | None
    ) -> None:
        """Pass a report on."""
        super().after_report(run_context, [told(self._goal, metrics[0])], checkpoint)


def told(goal: Goal, line: Mapping[str, Any]) -> dict[str, Any]:
    """Return what Ray Tune is told of some scores: them, their step and the goal's value."""
    return {**line, VALUE: goal.value(line)}


def plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings in Python's own types: Ray Tune draws some of them with NumPy."""
    return {
        name: value.item() if isinstance(value, np.generic) else value
        for name, value in settings.items()
    }


class _LeadsItsWorkers:
    """Mixed into what Ray Tune makes of `run_trial`: passes its decisions on to the workers.

    Ray Tune decides after each result, and asks for the next one only where a trial may go on: so
    that question is the verdict that the first worker waits for. A trial that is stopped ends by
    itself. Ray Tune would end the driver alone. Its workers would go too, but Ray Train would keep
    their place in the cluster, and the next trial would wait for it until the sweep ends.
    """

    _told_step: int | None = None

    def step(self) -> dict[str, Any]:
        """Return the next result; called when the trial may go on after the last one."""
        if _current is not None and self._told_step is not None:
            allow(_current.folder.run, self._told_step)
        result: dict[str, Any] = super().step()  # type: ignore[misc]
        self._told_step = result.get("step")
        return result

    def cleanup(self) -> None:
        """Called when a trial has ended, or is to end."""
        _stop()
        super().cleanup()  # type: ignore[misc]


@dataclass(slots=True)
class _Current:
    """The trial of this process."""

    folder: TrialFolder
    has_ended: threading.Event
    is_told_to_stop: bool = False


_current: _Current | None = None
_STOP_S = 300
"""How long workers may take to a step after which they see that they are to end."""


def _stop() -> None:
    """End the trial of this process, if it is still training."""
    if _current is None or _current.has_ended.is_set():
        return
    _current.is_told_to_stop = True
    _current.folder.end("stopped")
    # Workers end when another start has taken their run over.
    _current.folder.run.claim("stopped")
    _current.has_ended.wait(_STOP_S)


def run_trial(settings: Mapping[str, Any], plan: TrialPlan) -> None:
    """Train with ``settings``, or tell what an earlier start of this trial has come to.

    Args:
        settings: A point of the search space.
        plan: The plan of the sweep.

    Raises:
        CustomDiffusionError: The trial has failed by something that the user can mend.
    """
    global _current
    trial_id = ray_tune.get_context().get_trial_id()
    settings = plain(settings)
    folder = plan.folder.assign(trial_id, settings, plan.known)
    folder.begin(settings)
    before = folder.record()
    assert before is not None
    for line in before.history:
        ray_tune.report(told(plan.goal, line))
    if before.status in ("finished", "stopped"):
        return
    _current = current = _Current(folder=folder, has_ended=threading.Event())
    try:
        _train(folder, settings, plan)
        folder.end("finished")
    except Exception as error:
        if current.is_told_to_stop:
            _note_end(folder.run, {"status": "stopped"})
            return
        folder.end("failed", first_line(error))
        _note_end(folder.run, {"status": "failed", "error": first_line(error)})
        raise
    finally:
        current.has_ended.set()


def _note_end(run: RunDirectory, ended: Mapping[str, Any]) -> None:
    """Say in ``run.json`` how a run has ended, now that its workers are gone."""
    if run.read_summary().get("status") != "finished":
        run.write_summary({"name": run.name, **ended})


run_trial.__mixins__ = (_LeadsItsWorkers,)  # type: ignore[attr-defined]


def _train(folder: TrialFolder, settings: Mapping[str, Any], plan: TrialPlan) -> None:
    assert plan.resources is not None
    task, run = plan.task, folder.run
    config = replace(task.config, **settings)
    asked = {**plan.asked, **asdict(config)}
    # Said by the concepts of the identity.
    asked.pop("subjects")
    session = run.begin()
    run.write_config(asked)
    run.write_summary({"name": run.name, "status": "running"})
    made = replace(
        task,
        config=config,
        run=run,
        identity=digest(asked),
        session=session,
        # The runs of all trials have the name of the concept.
        label=f"{plan.folder.path.name}/{folder.path.name}",
    )
    fit(made, plan.resources, plan.folder.notes / folder.path.name, [GoalReport(plan.goal)])
