from pathlib import Path

import pytest

from tests.ray_metrics import metrics_cluster
from tests.tune.trials import scores, write_trial
from tune.plan.folder import SweepFolder
from tune.plan.goal import Goal
from tune.reporting.telemetry import MOMENTARY, PREFIX, SweepMetrics

GOAL = Goal(text_floor=0.9, drift_ceiling=0.2)


def test_without_a_cluster_nobody_is_told_and_nothing_fails() -> None:
    SweepMetrics("sweep", GOAL, 3).publish([])


@pytest.mark.ray
def test_prometheus_reads_what_the_trials_have_come_to(tmp_path: Path) -> None:
    folder = SweepFolder(tmp_path, "mycat")
    write_trial(folder, 0, {"seed": 7}, {4: scores(0.5)})
    write_trial(folder, 1, {"seed": 8}, {4: scores(0.75)})
    write_trial(folder, 2, {"seed": 9}, {4: scores(0.9, drift=0.5)})
    write_trial(folder, 3, {"seed": 10}, {2: scores(0.9)}, "stopped")
    write_trial(folder, 4, {"seed": 11}, {}, "open")
    with metrics_cluster() as exported:
        metrics = SweepMetrics("mycat-sweep", GOAL, 8)
        metrics.publish([])
        metrics.publish(folder.records())
        samples = exported({f"ray_{PREFIX}{name}" for name in MOMENTARY})
    found = {
        (name.removeprefix(f"ray_{PREFIX}"), labels.get("status") or labels.get("score")): value
        for name, labels, value in samples
        if labels.get("sweep") == "mycat-sweep"
    }
    assert found == {
        ("planned_trials", None): 8,
        ("trials", "open"): 1,
        ("trials", "finished"): 3,
        ("trials", "stopped"): 1,
        ("trials", "failed"): 0,
        ("best_score", "image_alignment"): 0.75,
        ("best_score", "text_alignment"): 0.5,
        ("best_score", "prior_drift"): 0.1,
    }
