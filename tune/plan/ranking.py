"""The order of trials: by the goal, and the Pareto front beside it.

Only finished trials are compared: one that was stopped was scored after fewer steps, on fewer
prompts.
"""

from collections.abc import Sequence

from tune.plan.folder import TrialRecord
from tune.plan.goal import Goal, pareto_front

__all__ = ["front", "ranked"]


def ranked(records: Sequence[TrialRecord], goal: Goal) -> list[TrialRecord]:
    """Return the finished trials, the best first; of equal ones the first that began."""
    return sorted(_finished(records), key=lambda record: -goal.value(record.scores))


def front(records: Sequence[TrialRecord]) -> list[int]:
    """Return the numbers of the finished trials that no other one beats on all scores."""
    finished = _finished(records)
    return [finished[index].number for index in pareto_front([one.scores for one in finished])]


def _finished(records: Sequence[TrialRecord]) -> list[TrialRecord]:
    return [record for record in records if record.status == "finished" and record.scores]
