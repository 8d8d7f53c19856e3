"""What monitoring reads of a run: metrics of Ray, which the first worker sets after each step.

Ray exports them for Prometheus as `docs/monitoring.md` says. Setting one takes some ten
microseconds and touches neither the device nor a file.
"""

from typing import TYPE_CHECKING

from ray.util.metrics import Counter, Gauge

if TYPE_CHECKING:
    # It brings torch, which the maker of the dashboard does not need.
    from cdcore.training.trainer import StepMetrics

__all__ = ["GROWING", "MOMENTARY", "PREFIX", "RunMetrics"]

PREFIX = "customdiffusion_training_"
GROWING = ("steps",)
"""Counters: the steps that this start of the run has done."""
MOMENTARY = ("loss", "target_loss", "prior_loss", "step_seconds", "progress")
"""Gauges: the losses and the wall time of the last step, and the share of all steps, up to 1."""


class RunMetrics:
    """The metrics of one start of a run, labelled ``run``."""

    def __init__(self, run: str, steps: int) -> None:
        """Export nothing yet.

        Args:
            run: What monitoring calls the run.
            steps: The steps of the whole run, at least 1.
        """
        labels = {"run": run}
        self._total = steps
        self._counters = {
            name: Counter(PREFIX + name, tag_keys=("run",)).set_default_tags(labels)
            for name in GROWING
        }
        self._gauges = {
            name: Gauge(PREFIX + name, tag_keys=("run",)).set_default_tags(labels)
            for name in MOMENTARY
        }

    def publish(self, metrics: "StepMetrics") -> None:
        """Tell Ray of a completed step; a run without regularization has no prior loss."""
        self._counters["steps"].inc()
        values = {
            "loss": metrics.loss,
            "target_loss": metrics.target_loss,
            "prior_loss": metrics.prior_loss,
            "step_seconds": metrics.seconds,
            "progress": metrics.step / self._total,
        }
        for name, value in values.items():
            if value is not None:
                self._gauges[name].set(value)
