"""The driver of a sweep: check everything, prepare what trials share, run Ray Tune, report."""

import shutil
from dataclasses import replace
from typing import Any

from rich.console import Console

from cdcore.errors import first_line, one_line
from cdcore.model.base_files import local_base
from cdcore.model.meta_base import outline_base
from raycluster.connection import connected
from rayjobs.cli.console import plain_console
from rayjobs.cluster.shared_storage import check_shared
from rayjobs.config.training import resolve
from rayjobs.runs.publishing import open_registry, publish
from rayjobs.runs.result_paths import base_name, result_folder
from rayjobs.training.driver import checked
from rayjobs.training.dry_run import dry_run
from rayjobs.training.identity import as_begun, differences
from rayjobs.training.task import ScorePlan
from tune.plan.folder import SweepFolder
from tune.plan.job import SweepJob
from tune.plan.search_space import by_present_value, check_space, most_of
from tune.reporting.live_table import LiveTable
from tune.reporting.report import best_of, write_report
from tune.reporting.trial_table import rich_table, settings_text
from tune.running.searcher import score_every
from tune.running.trial import TrialPlan
from tune.running.tuner import cluster_slots, draw_grid, prepare_all, run_trials

__all__ = ["sweep"]

_FILE_WIDTH = 160
"""Characters of a table's row where the output is no terminal."""
_SEARCHED_BY = (
    "search",
    "method",
    "search_seed",
    "text_floor",
    "drift_ceiling",
    "early_stopping",
    "keep",
    "score_every",
    "score_prompts",
    "score_seeds",
    "sample_seeds",
)
"""Settings that make a sweep what it is; one that goes on may have more trials, and no other."""


def sweep(job: SweepJob) -> dict[str, Any]:
    """Run a sweep to its end.

    Returns:
        The summary, as in the sweep's ``run.json``; of a dry run, what it has printed of one trial.

    Raises:
        CustomDiffusionError: Something that the user can mend, before or during the sweep.
        OSError: A folder cannot be written.
        KeyboardInterrupt: The user, or a signal, has ended it; the same command goes on from there.
    """
    console = plain_console(file_width=_FILE_WIDTH)
    begun = SweepFolder(result_folder(job.output, "--output") / job.folder.name, job.name)
    if not job.overwrite:
        job = as_begun(job, begun.run.read_config())
    if job.dry_run:
        config = resolve(
            job.training, outline_base(base_name(job.base)).at(job.training.resolution)
        )
        check_space(job.space, config, job.workers)
        console.print(f"{_plan_text(job)}; one of them, with the settings before the search:")
        return dry_run(job.training, console)
    plan, steps = _planned(job, console)
    registry = open_registry(job.registry)
    folder = plan.folder
    with folder.run.locked():
        asked = _identity(job, plan)
        stored = folder.run.read_config()
        if stored is not None and not job.overwrite:
            _check_same(stored, asked)
        elif stored is not None:
            folder.run.clear()
        if _has_ended(job, folder):
            console.print("the sweep has already finished; --overwrite starts it afresh")
        else:
            console.print(_plan_text(job))
            folder.run.write_config(asked)
            folder.run.write_summary({"name": folder.name, "status": "running"})
            _run(job, plan, steps, console)
        summary = write_report(folder, job)
        folder.run.write_summary(summary)
        if registry is not None and summary["best"]["in_bounds"]:
            best = folder.trial(summary["best"]["trial"]).run
            summary["published"] = publish(registry, best)
            folder.run.write_summary(summary)
    _print_result(console, job, folder, summary)
    return summary


def _planned(job: SweepJob, console: Console) -> tuple[TrialPlan, int]:
    """Find out all that can be wrong without a cluster.

    Returns:
        What trials have in common, without their resources, and the steps of the longest.
    """
    most = most_of(job.space, "regularization_images", 0)
    task, asked = checked(job.training, console, most_regularization=most)
    check_space(job.space, task.config, job.workers)
    steps = most_of(job.space, "steps", task.config.steps)
    folder = SweepFolder(result_folder(job.output, "--output") / job.folder.name, job.name)
    scoring = ScorePlan(
        every=score_every(job, steps),
        prompts=job.score_prompts,
        seeds=job.score_seeds,
        base_pictures=folder.base_pictures,
        awaits_verdict=job.early_stopping,
    )
    made = replace(task, run=folder.run, exports=(), scoring=scoring)
    return TrialPlan(folder=folder, task=made, asked=asked, goal=job.goal), steps


def _identity(job: SweepJob, plan: TrialPlan) -> dict[str, Any]:
    settings = {name: getattr(job, name) for name in _SEARCHED_BY}
    plain = {
        name: list(value) if isinstance(value, tuple) else value for name, value in settings.items()
    }
    return {**plan.asked, "sweep": plain}


def _check_same(stored: dict[str, Any], asked: dict[str, Any]) -> None:
    """Refuse to go on with another sweep.

    Raises:
        RunError: Names every setting that differs.
    """
    # A run may go on with more steps, the trials of a sweep may not.
    same = [
        {**config, "sweep": {**config.get("sweep", {}), "steps": config.get("steps")}}
        for config in (stored, asked)
    ]
    same[0]["sweep"]["search"] = [
        by_present_value(text) for text in same[0]["sweep"].get("search", ())
    ]
    differences(*same)


def _has_ended(job: SweepJob, folder: SweepFolder) -> bool:
    # One that has failed is tried again.
    ended = [record for record in folder.records() if record.status in ("finished", "stopped")]
    return len(ended) >= job.trial_count and _grid_file(folder).exists()


def _grid_file(folder: SweepFolder) -> Any:
    return folder.path / "best.png"


def _run(job: SweepJob, plan: TrialPlan, steps: int, console: Console) -> None:
    folder = plan.folder
    try:
        with LiveTable(folder, job.goal, job.trial_count, console), connected():
            is_small = local_base(plan.task.base).is_pocket
            slots = cluster_slots(job, console, is_small=is_small)
            check_shared(folder.path, kind="GPU" if slots.uses_gpu else "CPU")
            # A killed driver's Ray may write for seconds more into its own folder of notes.
            shutil.rmtree(folder.notes, ignore_errors=True)
            prepare_all(plan, job.space, slots)
            run_trials(job, plan, slots, steps)
            best_of(folder.records(), job.goal)
            draw_grid(plan, _grid_file(folder), slots)
    except KeyboardInterrupt:
        folder.run.write_summary({"name": folder.name, "status": "interrupted"})
        console.print("the same command goes on; trials that have ended are kept")
        raise
    except Exception as error:
        summary = {"name": folder.name, "status": "failed", "error": first_line(error)}
        folder.run.write_summary(summary)
        raise
    finally:
        shutil.rmtree(folder.notes, ignore_errors=True)


def _plan_text(job: SweepJob) -> str:
    stops = ", those that fall behind stopped early" if job.early_stopping else ""
    return f"{job.trial_count} trials, {job.method} search over {' and '.join(job.search)}{stops}"


def _print_result(
    console: Console, job: SweepJob, folder: SweepFolder, summary: dict[str, Any]
) -> None:
    console.print(rich_table(folder.records(), job.goal))
    best = summary["best"]
    console.print(f"best: trial {best['trial']}, {settings_text(best['settings'])}")
    console.print(f"Pareto front: trials {', '.join(map(str, summary['front']))}")
    if not best["in_bounds"]:
        console.print(
            "note: no trial kept to both bounds, so none is published; give a lower --text-floor "
            "or a higher --drift-ceiling with another --output, or search elsewhere"
        )
    if "published" in summary:
        console.print(f"published: {one_line(summary['published']['file'])}", soft_wrap=True)
    console.print(f"report:  {one_line(summary['report'])}", soft_wrap=True)
    console.print(f"repeat:  {one_line(best['command'])}", soft_wrap=True)
    console.print(f"concept: {one_line(best['concept_file'])}", soft_wrap=True)
