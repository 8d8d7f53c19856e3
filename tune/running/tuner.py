"""The part of a sweep that runs on a cluster: Ray Tune over the trials, and what frames them."""

import contextlib
import logging
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray
from ray import tune as ray_tune
from ray.train import ScalingConfig
from rich.console import Console

from cdcore.errors import CustomDiffusionError, RunError
from rayjobs.cluster.autoscaler import can_grow
from rayjobs.cluster.scaling import (
    free_capacity,
    make_room,
    uses_gpus,
    whole_capacity,
    without_gpus,
)
from tune.plan.folder import SweepFolder
from tune.plan.job import SweepJob
from tune.plan.ranking import ranked
from tune.plan.search_space import Dimension
from tune.plan.slots import Slots, share_out
from tune.reporting.best_grid import Entry, draw_best
from tune.reporting.report import BEST_PICTURES
from tune.running.searcher import domains, scheduler_of, searcher_of
from tune.running.shared_data import distinct_data, prepare_shared
from tune.running.trial import TrialPlan, run_trial

__all__ = ["cluster_slots", "draw_grid", "prepare_all", "run_trials"]

_ENVIRONMENT = {
    # Ctrl-C ends a sweep as it ends any job, and what is done is in the trials' own files.
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
}


_DRIVER = {"node:__internal_head__": 0.001}
"""What the driver of a trial takes: a CPU could be the one that its own workers wait for, and Ray
Tune has no trial that takes nothing. Every cluster has a head, and a driver costs it little."""


class _Ends(ray_tune.Callback):
    """Notes how trials end that cannot say it themselves: stopped, or lost."""

    def __init__(self, folder: SweepFolder) -> None:
        self._folder = folder

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
        folder = self._folder.assigned(trial.trial_id)
        if folder is not None:
            folder.end("stopped")

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
        folder = self._folder.assigned(trial.trial_id)
        lines = str(trial.get_pickled_error() or "").strip().splitlines()
        if folder is not None:
            folder.end("failed", lines[-1] if lines else "it was lost")


def cluster_slots(job: SweepJob, console: Console, *, is_small: bool) -> Slots:
    """Share the connected cluster out among the trials.

    Args:
        job: The sweep.
        console: Told what is waited for.
        is_small: Whether a trial suits CPUs.

    Raises:
        ConfigError: The cluster cannot hold them, and does not grow.
    """
    use_gpu = uses_gpus(job.gpus, is_small=is_small)
    if can_grow():
        make_room(job.workers * (job.concurrent or 1), console, use_gpu=use_gpu)
    whole = whole_capacity()
    return share_out(
        whole=whole if use_gpu else replace(whole, gpus=()),
        free=free_capacity(),
        workers=job.workers,
        trials=job.trial_count,
        concurrent=job.concurrent,
    )


def prepare_all(plan: TrialPlan, space: Sequence[Dimension], slots: Slots) -> None:
    """Make what trials share, with all that is free of one node.

    Raises:
        CustomDiffusionError: `prepare_shared` has raised it.
        OSError: `prepare_shared` has raised it.
    """
    _alone(slots, prepare_shared, plan.task, distinct_data(plan.task.config, space))


def draw_grid(plan: TrialPlan, path: Path, slots: Slots) -> None:
    """Draw the picture grid of the best trials, if there are any.

    Raises:
        OSError: `draw_best` cannot read or write a file.
    """
    best = ranked(plan.folder.records(), plan.goal)[:BEST_PICTURES]
    entries = [
        Entry(
            label=f"trial {record.number}\nimage {record.scores['image_alignment']:.3f}\n"
            f"text {record.scores['text_alignment']:.3f}\n"
            f"drift {record.scores['prior_drift']:.3f}",
            concept_file=record.run.concept_file,
        )
        for record in best
    ]
    if entries:
        _alone(slots, draw_best, path, plan.task, entries)


def run_trials(job: SweepJob, plan: TrialPlan, slots: Slots, steps: int) -> None:
    """Run all trials; those that have failed say so in their own files.

    What Ray prints meanwhile is dropped, so a console must have been given its file before.

    Args:
        job: The sweep.
        plan: What trials have in common.
        slots: What each gets.
        steps: The steps of the longest trial.

    Raises:
        RunError: Some could not even begin.
    """
    os.environ.update({name: os.environ.get(name, value) for name, value in _ENVIRONMENT.items()})
    # A trial that fails says why in the table.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    resources = ScalingConfig(num_workers=slots.workers, use_gpu=True)
    if not slots.uses_gpu:
        resources = ScalingConfig(
            num_workers=slots.workers, resources_per_worker={"CPU": slots.cpus}
        )
    known = {record.number: record.settings for record in plan.folder.records()}
    is_grid = job.method == "grid"
    is_random = job.method in ("grid", "random")
    trainable = ray_tune.with_parameters(
        run_trial, plan=replace(plan, resources=resources, known=known)
    )
    tuner = ray_tune.Tuner(
        ray_tune.with_resources(trainable, _DRIVER),
        # Optuna has the space already.
        param_space=domains(job.space, is_grid=is_grid) if is_random else None,
        tune_config=ray_tune.TuneConfig(
            search_alg=searcher_of(job, list(known.values()), slots.concurrent),
            scheduler=scheduler_of(job, steps),
            num_samples=1 if is_grid else job.trial_count,
            trial_dirname_creator=lambda trial: trial.trial_id,
        ),
        run_config=ray_tune.RunConfig(
            name="tune",
            storage_path=str(plan.folder.notes),
            callbacks=[_Ends(plan.folder)],
            verbose=0,
        ),
    )
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        errors = tuner.fit().errors
    missing = job.trial_count - len(plan.folder.records())
    if missing > 0:
        lines = str(errors[0]).strip().splitlines() if errors else []
        why = lines[-1] if lines else "Ray Tune has not asked for them"
        raise RunError(f"{missing} of {job.trial_count} trials could not begin: {why}")


def _alone(slots: Slots, work: Any, *arguments: Any) -> None:
    """Run a function where a worker would run, while no trial does.

    Raises:
        CustomDiffusionError: The function has raised this, or could not run.
        OSError: The function has raised this.
    """
    resources: dict[str, Any] = {"num_cpus": 1, "num_gpus": 1}
    if not slots.uses_gpu:
        each = max(1, free_capacity().cpus_each(1))
        resources = {"num_cpus": each, "runtime_env": without_gpus()}
    try:
        ray.get(ray.remote(max_retries=0, **resources)(work).remote(*arguments))
    except ray.exceptions.RayTaskError as error:
        cause = error.cause
        raise cause if isinstance(cause, CustomDiffusionError | OSError) else error from None
