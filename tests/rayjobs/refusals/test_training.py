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
        ({"name": "x" * 250}, "has 262 bytes, and a name on this disk at most 255"),
        (
            {"name": "é" * 126, "modifier_token": "<x>"},
            "has 264 bytes, and a name on this disk at most 255",
        ),
    ],
)
def test_what_cannot_be_trained_is_refused(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(CustomDiffusionError) as caught:
        check_training(job(tmp_path, **changes))
    assert message in str(caught.value)


PNG_HEAD = b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize(
    ("captions", "changes", "message"),
    [
        (None, {}, "has pictures but no captions"),
        ("a cat\n", {}, "has 1 lines for 3 pictures"),
        ("a cat\n\ncats\n", {}, "line 2 is empty"),
        ("a cat\na <b> cat\ncats\n", {}, "its caption names <b>"),
        ("a cat\na cat\ncats\n", {}, "has 3 pictures, expected regularization_images"),
        (
            "a cat\na cat\ncats\n",
            {"regularization_images": 3, "regularization_ratio": 0.0},
            "no step has a row",
        ),
    ],
)
def test_pictures_of_the_class_that_cannot_be_used_are_refused_unopened(
    tmp_path: Path, captions: str | None, changes: dict[str, Any], message: str
) -> None:
    folder = tmp_path / "cats"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.png").write_bytes(PNG_HEAD + b"not looked at")
    if captions is not None:
        (folder / "caption.txt").write_text(captions)
    with pytest.raises(CustomDiffusionError, match=message):
        check_training(job(tmp_path, regularization=folder, **changes))


def test_a_sweep_needs_as_many_of_them_as_its_largest_trial(tmp_path: Path) -> None:
    folder = tmp_path / "cats"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.png").write_bytes(PNG_HEAD + b"not looked at")
        (folder / f"{number}.txt").write_text("a cat")
    made = job(tmp_path, regularization=folder, regularization_images=2)
    assert check_training(made, most_regularization=3).regularization_images == 2
    with pytest.raises(CustomDiffusionError, match=r"has 3 pictures, .* 4 or more"):
        check_training(made, most_regularization=4)


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


def test_a_place_that_the_user_may_not_write_is_refused(tmp_path: Path) -> None:
    # Nobody may write below a file.
    (tmp_path / "file").touch()
    for flag in ("output", "cache"):
        with pytest.raises(CustomDiffusionError, match=f"--{flag} .*file is not a folder"):
            check_training(job(tmp_path, **{flag: tmp_path / "file" / "x"}))


def test_a_cluster_that_is_not_there_is_refused_but_not_by_a_dry_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(CustomDiffusionError, match="no Ray head can be reached"):
        check_training(job(tmp_path))
    check_training(job(tmp_path, dry_run=True))


def test_pictures_that_a_submitted_job_lacks_are_missed_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", '{"runtime_env": {"working_dir": "x"}}')
    (tmp_path / ".gitignore").write_text("photos/\n")
    with pytest.raises(CustomDiffusionError, match=r"no such folder.*\.gitignore names photos"):
        check_training(job(tmp_path, images=Path("photos")))
