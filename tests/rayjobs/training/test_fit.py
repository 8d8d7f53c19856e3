"""Tests of `rayjobs.training.fit`."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import ray.train
from ray.train import ScalingConfig
from ray.train.torch import TorchTrainer

from cdcore.errors import PictureError
from rayjobs.training.fit import fit
from rayjobs.training.task import TrainTask


def test_a_process_that_only_starts_workers_imports_no_model() -> None:
    script = "import rayjobs.training.fit, sys; sys.stdout.write(' '.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    heavy = {"diffusers", "transformers", "deepspeed"}
    assert not heavy & set(done.stdout.split())


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (ray.train.WorkerGroupError("x", {0: PictureError("cat.png is no picture")}), PictureError),
        (SystemExit(1), KeyboardInterrupt),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_what_ray_train_ends_with_is_what_the_user_can_mend(
    raised: BaseException,
    expected: type[BaseException],
    task: TrainTask,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def end(_: Any) -> None:
        raise raised

    monkeypatch.setattr(TorchTrainer, "fit", end)
    with pytest.raises(expected):
        fit(task, ScalingConfig(num_workers=1), tmp_path / "notes")
