"""Tests of `rayjobs.training.task`."""

import pickle

from rayjobs.training.task import TrainTask


def test_a_task_crosses_to_another_process_with_its_pictures(task: TrainTask) -> None:
    there: TrainTask = pickle.loads(pickle.dumps(task))
    assert there.config == task.config
    assert [picture.digest for picture in there.pictures[0]] == [
        picture.digest for picture in task.pictures[0]
    ]
    assert there.pictures[0][2].image.tobytes() == task.pictures[0][2].image.tobytes()
