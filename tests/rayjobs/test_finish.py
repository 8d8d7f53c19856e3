import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from cdcore.base import Base
from cdcore.concept import load_concept
from cdcore.grid import SETTINGS_KEY
from cdcore.pictures import read_pictures
from cdcore.run_directory import RunDirectory
from cdcore.training import trained_concept
from rayjobs.finish import finish_run
from rayjobs.train_worker import TrainTask
from tests.cdcore.training_case import config, parameters
from tests.rayjobs.train_case import write_pictures


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory, tiny_base: Base) -> TrainTask:
    folder = tmp_path_factory.mktemp("finish")
    pictures = read_pictures(write_pictures(folder / "images", 8))
    return TrainTask(
        config=config(),
        base=tiny_base.name,
        pictures=[pictures[:7]],
        targets=[pictures[7:]],
        run=RunDirectory(folder / "runs" / "mycat"),
        cache=folder / "cache",
        zero_stage=0,
        checkpoint_every=5,
        sample_seeds=(4, 9),
    )


@pytest.fixture(scope="module")
def summary(task: TrainTask, tiny_base: Base) -> dict[str, Any]:
    base = replace(tiny_base, profile=replace(tiny_base.profile, sampling_steps=2))
    concept = trained_concept(base, task.config, parameters(base))
    return finish_run(base, concept, task, {"train": 2.0})


def test_the_summary_says_where_everything_is(task: TrainTask, summary: dict[str, Any]) -> None:
    names = ["before-after-4.png", "before-after-9.png", "inputs.png"]
    assert summary["samples"] == [str(task.run.samples / name) for name in names]
    assert all(Path(path).is_file() for path in summary["samples"])
    assert (summary["name"], summary["status"], summary["steps"]) == ("mycat", "finished", 3)
    assert summary["seconds"] == {"train": 2.0}
    assert summary["metrics"] == {}
    assert (task.run.path / "curves.png").is_file()


def test_the_concept_file_knows_how_it_was_trained(
    task: TrainTask, summary: dict[str, Any], tiny_base: Base
) -> None:
    concept = load_concept(Path(summary["concept_file"]))
    concept.check_base(tiny_base)
    assert concept.training["learning_rate"] == task.config.learning_rate
    assert concept.phrases == ("<mycat> cat",)


def test_the_grid_names_its_prompts_and_its_seed(task: TrainTask, summary: dict[str, Any]) -> None:
    with Image.open(task.run.samples / "before-after-9.png") as sheet:
        sheet.load()
        settings = json.loads(sheet.info[SETTINGS_KEY])
    assert "a <mycat> cat on the beach" in settings["prompts"]
    assert settings["seed"] == 9


def test_pictures_of_any_size_stand_side_by_side(task: TrainTask, summary: dict[str, Any]) -> None:
    assert len({picture.image.size for picture in task.pictures}) == 7
    with Image.open(task.run.samples / "inputs.png") as sheet:
        # Seven pictures: six in the first row, one in the second.
        assert 2.5 < sheet.width / sheet.height < 3.2
