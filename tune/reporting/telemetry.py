"""What monitoring reads of a sweep: metrics of Ray, which its driver sets while trials run."""

from collections import Counter
from collections.abc import Sequence
from typing import get_args

from ray.util.metrics import Gauge

from tune.plan.folder import Status, TrialRecord
from tune.plan.goal import AXES, Goal
from tune.plan.ranking import ranked

__all__ = ["MOMENTARY", "PREFIX", "SweepMetrics"]

PREFIX = "customdiffusion_sweep_"
MOMENTARY = {
    "planned_trials": ("sweep",),
    "trials": ("sweep", "status"),
    "best_score": ("sweep", "score"),
}
"""Gauges and their labels: how many trials there will be, how many have begun by how they have
ended (``open`` is not yet), and each score of the trial that is best so far."""


class SweepMetrics:
    """The metrics of one sweep, labelled ``sweep``."""

    def __init__(self, sweep: str, goal: Goal, planned: int) -> None:
        """Export nothing yet.

        Args:
            sweep: The name of the sweep.
            goal: What makes a trial the best.
            planned: How many trials there will be.
        """
        self._goal, self._planned = goal, planned
        self._gauges = {
            name: Gauge(PREFIX + name, tag_keys=labels).set_default_tags({"sweep": sweep})
            for name, labels in MOMENTARY.items()
        }

    def publish(self, records: Sequence[TrialRecord]) -> None:
        """Tell Ray what has become of the trials so far."""
        self._gauges["planned_trials"].set(self._planned)
        counts = Counter(record.status for record in records)
        for status in get_args(Status):
            self._gauges["trials"].set(counts[status], {"status": status})
        best = ranked(records, self._goal)[:1]
        for score in AXES if best else ():
            self._gauges["best_score"].set(best[0].scores[score], {"score": score})
