"""The report of a sweep: a table, a picture, the Pareto front, and how to train the best again."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from cdcore.errors import RunError, one_line
from cdcore.files import replacing, write_text
from tune.plan.folder import SweepFolder, TrialRecord
from tune.plan.goal import Goal
from tune.plan.job import SweepJob
from tune.plan.ranking import front, ranked
from tune.reporting.chart import plot_trials
from tune.reporting.repeat import repeat_command, write_repeat
from tune.reporting.trial_table import arrow_table, markdown_table, settings_text

__all__ = ["BEST_PICTURES", "best_of", "write_report"]

BEST_PICTURES = 3
"""Trials in the picture grid."""


def best_of(records: Sequence[TrialRecord], goal: Goal) -> TrialRecord:
    """Return the best finished trial.

    Raises:
        RunError: No trial has finished.
    """
    order = ranked(records, goal)
    if order:
        return order[0]
    errors = [record.error for record in records if record.error]
    why = f"; the first has failed: {errors[0]}" if errors else ""
    raise RunError(f"none of {len(records)} trials has finished{why}")


def write_report(folder: SweepFolder, job: SweepJob) -> dict[str, Any]:
    """Write everything but the picture grid.

    Args:
        folder: The folder of the sweep.
        job: The sweep.

    Returns:
        The summary, as in the sweep's ``run.json``.

    Raises:
        RunError: No trial has finished.
        OSError: A file cannot be written.
    """
    records, goal = folder.records(), job.goal
    best = best_of(records, goal)
    config = best.run.read_config()
    assert config is not None
    best_file = folder.path / "best.yaml"
    write_repeat(best_file, job.training, config)
    with replacing(folder.path / "trials.parquet") as temporary:
        pq.write_table(arrow_table(records, goal), temporary)
    plot_trials(folder.path / "trials.png", records, job.space, goal)
    write_text(folder.path / "report.md", _markdown(folder, job, records, best, best_file))
    return {
        "name": folder.name,
        "status": "finished",
        "trials": {
            status: sum(record.status == status for record in records)
            for status in ("finished", "stopped", "failed")
        },
        "best": {
            "trial": best.number,
            "settings": dict(best.settings),
            "scores": dict(best.scores),
            "in_bounds": goal.violation(best.scores) == 0,
            "concept_file": str(best.run.concept_file),
            "command": repeat_command(best_file),
        },
        "front": front(records),
        "report": str(folder.path / "report.md"),
    }


def _markdown(
    folder: SweepFolder,
    job: SweepJob,
    records: Sequence[TrialRecord],
    best: TrialRecord,
    best_file: Path,
) -> str:
    goal = job.goal
    least = goal.least_text_alignment(best.scores)
    by_number = {record.number: record for record in records}
    on_front = "".join(
        f"- trial {number}: {settings_text(by_number[number].settings)} "
        f"({_scores(by_number[number])})\n"
        for number in front(records)
    )
    bounds = (
        "" if goal.violation(best.scores) == 0 else " No trial kept to both; it is the nearest."
    )
    return f"""# Sweep of {folder.name}

{len(records)} trials, {job.method} search over {" and ".join(job.search)}.

Sought: the highest image alignment with a text alignment of at least {least:.3f}
({job.text_floor:g} of the base's) and a prior drift of at most {goal.drift_ceiling:g}.{bounds}

**Best: trial {best.number}**, {settings_text(best.settings)} ({_scores(best)}).

    {repeat_command(best_file)}

trains it again. Its concept is `{one_line(best.run.concept_file)}`.

## Trials

Scores of trials that were stopped or have failed are of fewer steps, on fewer prompts.

{markdown_table(records, goal)}
![scores and settings](trials.png)

## Pareto front

No finished trial is better than these on one score and as good on the others.

{on_front}
## Pictures

![the best {BEST_PICTURES} trials](best.png)
"""


def _scores(record: TrialRecord) -> str:
    scores = record.scores
    return (
        f"image {scores['image_alignment']:.3f}, text {scores['text_alignment']:.3f}, "
        f"drift {scores['prior_drift']:.3f}"
    )
