"""The trials of a sweep as rows: for the terminal, for Markdown and for Parquet."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
from rich.table import Table

from tune.plan.folder import TrialRecord
from tune.plan.goal import Goal
from tune.plan.ranking import front, ranked

__all__ = ["arrow_table", "markdown_table", "rich_table", "settings_text", "value_text"]

_SCORES = {
    "image_alignment": "image",
    "text_alignment": "text",
    "prior_drift": "drift",
}
"""Scores that people read, and their short names."""


def settings_text(settings: Mapping[str, Any]) -> str:
    """Return settings as one text, such as ``learning_rate 0.002, seed 1``."""
    return ", ".join(f"{name} {value_text(value)}" for name, value in settings.items())


def value_text(value: Any) -> str:
    """Return one value, numbers with four digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def rich_table(
    records: Sequence[TrialRecord],
    goal: Goal,
    phases: Mapping[int, str] | None = None,
) -> Table:
    """Return the trials as a table for the terminal, by number.

    Args:
        records: The trials.
        goal: Marks those that miss it.
        phases: What open trials are doing, by number.
    """
    best = [record.number for record in ranked(records, goal)[:1]]
    table = Table(title_justify="left")
    names = _setting_names(records)
    for name in ("trial", *names, "state", "steps", *_SCORES.values()):
        table.add_column(name, justify="left" if name == "state" else "right", overflow="fold")
    for record in records:
        state = (phases or {}).get(record.number, record.status)
        scores = [_score(record, name) for name in _SCORES]
        if record.scores and goal.violation(record.scores):
            state += ", out of bounds"
        table.add_row(
            str(record.number),
            *(value_text(record.settings.get(name, "")) for name in names),
            state,
            str(record.step or ""),
            *scores,
            style="bold" if record.number in best else "",
        )
    return table


def markdown_table(records: Sequence[TrialRecord], goal: Goal) -> str:
    """Return the trials as a Markdown table: the finished ones first, the best at the top."""
    order = ranked(records, goal)
    order += [record for record in records if record not in order]
    names, on_front = _setting_names(records), front(records)
    head = ["trial", *names, "state", "steps", *_SCORES.values(), "in bounds", "Pareto front"]
    lines = [head, ["---"] * len(head)]
    for record in order:
        state = record.status if not record.error else f"failed: {_cell(record.error)}"
        kept = ("no" if goal.violation(record.scores) else "yes") if record.scores else ""
        lines.append(
            [
                str(record.number),
                *(_cell(value_text(record.settings.get(name, ""))) for name in names),
                state,
                str(record.step or ""),
                *(_score(record, name) for name in _SCORES),
                kept,
                "yes" if record.number in on_front else "",
            ]
        )
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def arrow_table(records: Sequence[TrialRecord], goal: Goal) -> pa.Table:
    """Return the trials as an Arrow table, by number, with all scores and settings."""
    on_front = front(records)
    names, scores = _setting_names(records), _score_names(records)
    columns: dict[str, list[Any]] = {
        "trial": [record.number for record in records],
        "status": [record.status for record in records],
        "step": [record.step for record in records],
        "seconds": [record.seconds for record in records],
        "error": [record.error or None for record in records],
        "goal": [goal.value(one.scores) if one.scores else None for one in records],
        "in_bounds": [goal.violation(one.scores) == 0 if one.scores else None for one in records],
        "on_front": [record.number in on_front for record in records],
        "concept_file": [
            str(one.run.concept_file) if one.status == "finished" else None for one in records
        ],
    }
    for name in names:
        columns[f"setting.{name}"] = [record.settings.get(name) for record in records]
    for name in scores:
        columns[f"score.{name}"] = [record.scores.get(name) for record in records]
    return pa.table(columns)


def _setting_names(records: Sequence[TrialRecord]) -> list[str]:
    return list(dict.fromkeys(name for record in records for name in record.settings))


def _score_names(records: Sequence[TrialRecord]) -> list[str]:
    return list(dict.fromkeys(name for record in records for name in record.scores))


def _score(record: TrialRecord, name: str) -> str:
    return f"{record.scores[name]:.3f}" if name in record.scores else ""


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
