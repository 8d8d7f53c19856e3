"""Tests of `rayjobs.training.task`."""

import pickle
from dataclasses import replace
from pathlib import Path

import torch

from rayjobs.training.task import TrainTask


def test_a_task_crosses_to_another_process_with_its_pictures(task: TrainTask) -> None:
    there: TrainTask = pickle.loads(pickle.dumps(task))
    assert there.config == task.config
    assert [picture.digest for picture in there.pictures[0]] == [
        picture.digest for picture in task.pictures[0]
    ]
    assert there.pictures[0][2].image.tobytes() == task.pictures[0][2].image.tobytes()


def test_a_task_loads_its_base_as_the_driver_has_checked_it(
    task: TrainTask, tiny_folder: Path
) -> None:
    asked = replace(
        task,
        base=str(tiny_folder),
        resolution=128,
        precision="bf16",
        vae=str(tiny_folder / "vae"),
    )
    base = asked.load_base("cpu")
    assert base.profile.resolution == 128
    assert base.seam.dtype == torch.bfloat16
    assert base.autoencoder.dtype == torch.float32
    plain = replace(task, base=str(tiny_folder)).load_base("cpu")
    assert plain.profile.resolution == 64
    assert plain.seam.dtype == torch.float32
    assert plain.autoencoder_fingerprint == base.autoencoder_fingerprint
