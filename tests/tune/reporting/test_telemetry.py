from pathlib import Path

import pytest

from deploy.monitoring.panels import of_sweep
from tests.ray_metrics import metrics_cluster, wait_for
from tests.tune.trials import scores, write_trial
from tune.plan.folder import SweepFolder
from tune.plan.goal import Goal
from tune.reporting.telemetry import SweepMetrics

GOAL = Goal(text_floor=0.9, drift_ceiling=0.2)


def test_without_a_cluster_nobody_is_told_and_nothing_fails() -> None:
    SweepMetrics("other-sweep", GOAL, 3).publish([])


@pytest.mark.ray
def test_prometheus_reads_what_the_trials_have_come_to(tmp_path: Path) -> None:
    folder = SweepFolder(tmp_path, "mycat")
    write_trial(folder, 0, {"seed": 7}, {4: scores(0.5)})
    write_trial(folder, 1, {"seed": 8}, {4: scores(0.75)})
    write_trial(folder, 2, {"seed": 9}, {4: scores(0.9, drift=0.5)})
    write_trial(folder, 3, {"seed": 10}, {2: scores(0.9)}, "stopped")
    write_trial(folder, 4, {"seed": 11}, {}, "open")
    with metrics_cluster() as address:
        metrics = SweepMetrics("mycat-sweep", GOAL, 8)
        metrics.publish([])
        metrics.publish(folder.records())
        counts = {"open": 1, "finished": 3, "stopped": 1, "failed": 0}
        # The third is better, but out of bounds.
        best = {"image_alignment": 0.75, "text_alignment": 0.5, "prior_drift": 0.1}
        expected: dict[tuple[str, ...], float] = {
            (of_sweep("planned_trials"), "mycat-sweep"): 8.0,
            **{(of_sweep("trials"), "mycat-sweep", status): n for status, n in counts.items()},
            **{(of_sweep("best_score"), "mycat-sweep", name): at for name, at in best.items()},
        }
        wait_for(expected, address, "sweep", "status", "score")
    # The driver's last look comes after it has left the cluster.
    metrics.publish(folder.records())
