import pytest

from cdcore.training.trainer import StepMetrics
from deploy.monitoring.panels import of_training
from rayjobs.training.telemetry import RunMetrics
from tests.ray_metrics import metrics_cluster, wait_for


def step(number: int, prior_loss: float | None = None) -> StepMetrics:
    return StepMetrics(step=number, loss=0.5, target_loss=0.25, prior_loss=prior_loss, seconds=2.0)


def test_without_a_cluster_nobody_is_told_and_nothing_fails() -> None:
    RunMetrics("mypot", 4).publish(step(1))


@pytest.mark.ray
def test_prometheus_reads_what_each_run_has_come_to() -> None:
    with metrics_cluster() as address:
        one, other = RunMetrics("mycat", 10), RunMetrics("sweep/003", 4)
        for number in (6, 7, 8):
            one.publish(step(number, prior_loss=0.75))
        other.publish(step(4))
        values = {
            "mycat": {
                "steps": 3,
                "loss": 0.5,
                "target_loss": 0.25,
                "prior_loss": 0.75,
                "step_seconds": 2,
                "progress": 0.8,
            },
            "sweep/003": {
                "steps": 1,
                "loss": 0.5,
                "target_loss": 0.25,
                "step_seconds": 2,
                "progress": 1,
            },
        }
        expected: dict[tuple[str, ...], float] = {
            (of_training(name), run): float(value)
            for run, of_run in values.items()
            for name, value in of_run.items()
        }
        wait_for(expected, address, "run")
