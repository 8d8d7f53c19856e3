"""Tests of `rayjobs.refusals.training`."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from cdcore.errors import CustomDiffusionError
from cdcore.model.meta_base import outline_base
from rayjobs.config.training import TrainJob, resolve
from rayjobs.refusals.training import check_training

PICTURES = Path(__file__).resolve().parents[3] / "examples" / "mycat"


def job(folder: Path, **changes: Any) -> TrainJob:
    settings: dict[str, Any] = {
        "images": PICTURES,
        "class_noun": "cat",
        "name": "mycat",
        "base": "pocket",
        "output": folder / "runs",
        "cache": folder / "cache",
    }
    return TrainJob(**settings | changes)


def test_the_configuration_is_that_of_the_loaded_base(tmp_path: Path) -> None:
    asked = job(tmp_path, steps=7)
    assert check_training(asked) == resolve(asked, outline_base("pocket"))
    assert list(tmp_path.iterdir()) == []


def test_an_archive_of_pictures_will_do(tmp_path: Path) -> None:
    made = shutil.make_archive(str(tmp_path / "mycat"), "zip", PICTURES.parent, "mycat")
    assert check_training(job(tmp_path, images=Path(made))) == check_training(job(tmp_path))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": Path(__file__)}, "not a folder, and no zip archive"),
        ({"images": Path("/no/such/place")}, "no such folder"),
        ({"images": PICTURES.parent / "concepts"}, "no pictures in it"),
        ({"holdout": 99}, "cannot hold out 99"),
        ({"base": "no/such/base"}, "base 'no/such/base' cannot be loaded"),
        ({"class_noun": "qzjxwvkyu"}, "takes 9 tokens of this base's vocabulary"),
        ({"class_noun": " "}, "is no word"),
        ({"initializer_token": "<cat>"}, "'<cat>' is no word"),
        ({"modifier_token": "mycat"}, "in angle brackets"),
        ({"steps": 0}, "steps is 0"),
        ({"learning_rate": 2.0}, "learning_rate is 2.0"),
        ({"workers": 9}, "some would have no row"),
        ({"export": "paint"}, "export is 'paint'"),
    ],
)
def test_what_cannot_be_trained_is_refused(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(CustomDiffusionError) as caught:
        check_training(job(tmp_path, **changes))
    assert message in str(caught.value)


@pytest.mark.parametrize("flag", ["output", "cache", "registry"])
def test_a_place_that_would_be_lost_is_refused(
    flag: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CUSTOMDIFFUSION_ROOT", raising=False)
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", '{"runtime_env": {"working_dir": "x"}}')
    elsewhere = Path("/elsewhere")
    changes: dict[str, Any] = {"output": elsewhere, "cache": elsewhere}
    changes[flag] = "here" if flag == "registry" else Path("here")
    with pytest.raises(CustomDiffusionError, match=f"--{flag} is 'here'"):
        check_training(job(tmp_path, **changes))
