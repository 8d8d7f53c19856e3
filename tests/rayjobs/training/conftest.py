"""What the tests of training's workers share."""

from pathlib import Path

import pytest

from rayjobs.runs.run_directory import RunDirectory
from rayjobs.training.task import TrainTask
from tests.cdcore.training_case import config
from tests.rayjobs.train_case import train_task


@pytest.fixture
def task(tmp_path: Path) -> TrainTask:
    """What the workers of a short run are told."""
    return train_task(
        tmp_path,
        config=config(steps=7),
        base="pocket",
        run=RunDirectory(tmp_path / "runs" / "mycat"),
        sample_seeds=(0,),
    )
