"""Tests of `rayjobs.training.task`."""

import pickle
from pathlib import Path

import pytest

from rayjobs.runs.run_directory import RunDirectory
from rayjobs.training.task import TrainTask
from tests.cdcore.training_case import config
from tests.rayjobs.train_case import train_task


@pytest.fixture
def task(tmp_path: Path) -> TrainTask:
    return train_task(
        tmp_path,
        config=config(steps=7),
        base="pocket",
        run=RunDirectory(tmp_path / "runs" / "mycat"),
        sample_seeds=(0,),
    )


def test_a_task_crosses_to_another_process_with_its_pictures(task: TrainTask) -> None:
    there: TrainTask = pickle.loads(pickle.dumps(task))
    assert there.config == task.config
    assert [picture.digest for picture in there.pictures[0]] == [
        picture.digest for picture in task.pictures[0]
    ]
    assert there.pictures[0][2].image.tobytes() == task.pictures[0][2].image.tobytes()
