import errno
from pathlib import Path

import ray.exceptions
import ray.train
from ray.train.v2._internal.exceptions import WorkerHealthCheckFailedError

from cdcore.errors import RunError
from cdcore.training.trainer import StepMetrics
from rayjobs.cluster.failures import mendable
from rayjobs.runs.run_directory import RunDirectory


def test_the_user_s_error_is_found_behind_those_of_ray_and_of_the_other_workers(
    tmp_path: Path,
) -> None:
    run = RunDirectory(tmp_path)
    full = OSError(errno.ENOSPC, "No space left on device")
    wrapped = RuntimeError("of Ray")
    wrapped.__cause__ = full
    lost = ConnectionResetError("by peer")
    failure = ray.train.WorkerGroupError("text", {0: lost, 1: wrapped})
    assert mendable(failure, run) is full
    defect = ray.train.WorkerGroupError("text", {0: ValueError("defect"), 1: lost})
    assert mendable(defect, run) is defect


def test_a_lost_worker_is_named_with_the_last_step(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    gone: Exception = WorkerHealthCheckFailedError("of Ray", ray.exceptions.ActorDiedError())
    failure = ray.train.WorkerGroupError("text", {0: RuntimeError("peer"), 1: gone})
    assert "worker 1 was lost after step 0" in str(mendable(failure, run))
    run.append_metrics(StepMetrics(step=1, loss=1, target_loss=1, prior_loss=None, seconds=0.1))
    failure = ray.train.WorkerGroupError("text", {0: gone, 1: gone})
    found = mendable(failure, run)
    assert isinstance(found, RunError)
    assert "worker 0 and 1 was lost after step 1" in str(found)
    assert "\n" not in str(found)
