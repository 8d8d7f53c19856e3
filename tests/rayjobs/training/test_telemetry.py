import pytest

from cdcore.training.trainer import StepMetrics
from rayjobs.training.telemetry import GROWING, MOMENTARY, PREFIX, RunMetrics
from tests.ray_metrics import metrics_cluster


def step(number: int, prior_loss: float | None = None) -> StepMetrics:
    return StepMetrics(step=number, loss=0.5, target_loss=0.25, prior_loss=prior_loss, seconds=2.0)


def test_without_a_cluster_nobody_is_told_and_nothing_fails() -> None:
    RunMetrics("mycat", 4).publish(step(1))


@pytest.mark.ray
def test_prometheus_reads_what_each_run_has_come_to() -> None:
    with metrics_cluster() as exported:
        one, other = RunMetrics("mycat", 10), RunMetrics("sweep/003", 4)
        for number in (6, 7, 8):
            one.publish(step(number, prior_loss=0.75))
        other.publish(step(4))
        names = {f"ray_{PREFIX}{name}" for name in MOMENTARY}
        names |= {f"ray_{PREFIX}{name}_total" for name in GROWING}
        samples = exported(names)
    ours = [sample for sample in samples if sample[0].startswith(f"ray_{PREFIX}")]
    assert {name for name, _, _ in ours} == names
    found = {
        (labels["run"], name.removeprefix(f"ray_{PREFIX}")): value for name, labels, value in ours
    }
    assert found == {
        ("mycat", "steps_total"): 3,
        ("mycat", "loss"): 0.5,
        ("mycat", "target_loss"): 0.25,
        ("mycat", "prior_loss"): 0.75,
        ("mycat", "step_seconds"): 2,
        ("mycat", "progress"): 0.8,
        ("sweep/003", "steps_total"): 1,
        ("sweep/003", "loss"): 0.5,
        ("sweep/003", "target_loss"): 0.25,
        ("sweep/003", "step_seconds"): 2,
        ("sweep/003", "progress"): 1,
    }
