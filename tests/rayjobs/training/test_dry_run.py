import io
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from rich.console import Console

from cdcore.errors import BaseModelError, ConfigError, PictureError
from rayjobs.config.training import TrainJob
from rayjobs.training.driver import train
from rayjobs.training.dry_run import dry_run, measured_rate
from tests.rayjobs.stand_in import Cluster
from tests.rayjobs.train_case import job, write_captioned, write_pictures


@pytest.fixture
def plain(tmp_path: Path, tiny_folder: Path) -> TrainJob:
    write_pictures(tmp_path / "images")
    return job(tmp_path, tiny_folder, dry_run=True, tflops=0.5, holdout=1)


def printed(made: TrainJob) -> list[str]:
    text = io.StringIO()
    dry_run(made, Console(file=text, soft_wrap=True))
    return text.getvalue().splitlines()


def test_it_prints_the_resolved_settings_and_what_they_cost(plain: TrainJob) -> None:
    lines = printed(plain)
    settings = yaml.safe_load("\n".join(lines[:-4]))
    assert settings["learning_rate"] == 3e-4
    assert settings["subjects"][0]["pictures"] == 2
    assert settings["run"] == str(plain.output / "mycat")
    assert settings["run_status"] == "new"
    assert [line.split()[0] for line in lines[-4:]] == ["memory:", "work:", "time:", "dry"]
    assert "0.5 TFLOP/s a worker (as given)" in lines[-2]
    measured = printed(replace(plain, tflops=None))
    assert "a matrix product's on this" in measured[-2]


def test_what_is_no_picture_is_named(plain: TrainJob) -> None:
    assert plain.images is not None
    (plain.images / "notes.txt").write_text("a cat")
    assert printed(plain)[-2] == "note: images: not read as pictures: notes.txt"


def test_it_starts_nothing_and_writes_nothing(plain: TrainJob, cluster: Cluster) -> None:
    before = sorted(plain.output.parent.rglob("*"))
    found = train(plain)
    assert found["seconds"] == pytest.approx(
        (found["estimate"]["training_flops"] + found["estimate"]["preparation_flops"]) / 0.5e12
    )
    shared = train(replace(plain, workers=5))
    assert shared["seconds"] < found["seconds"]
    assert not cluster.tasks
    assert sorted(plain.output.parent.rglob("*")) == before


def test_pictures_of_the_class_that_are_brought_are_counted_and_not_generated(
    plain: TrainJob, tmp_path: Path, cluster: Cluster
) -> None:
    generated = train(plain)
    brought = train(replace(plain, regularization=write_captioned(tmp_path / "cats")))
    assert brought["settings"]["subjects"][0]["captioned_pictures"] == 2
    assert "captioned_pictures" not in generated["settings"]["subjects"][0]
    costs = [one["estimate"] for one in (brought, generated)]
    assert 0 < costs[0]["preparation_flops"] < costs[1]["preparation_flops"]
    assert costs[0]["training_flops"] == costs[1]["training_flops"]
    (tmp_path / "cats" / "1.png").write_bytes(b"no picture")
    with pytest.raises(PictureError, match=r"1\.png: not a picture"):
        printed(replace(plain, regularization=tmp_path / "cats"))


def test_of_a_run_that_has_begun_it_says_what_the_run_began_with(
    plain: TrainJob, cluster: Cluster
) -> None:
    train(replace(plain, dry_run=False, initializer_token="barn"))
    assert train(plain)["settings"]["subjects"][0]["initializer_token"] == "barn"
    afresh = train(replace(plain, overwrite=True))
    assert afresh["settings"]["subjects"][0]["initializer_token"] == "cat"


def test_what_could_not_be_started_is_refused(plain: TrainJob, tmp_path: Path) -> None:
    with pytest.raises(PictureError):
        printed(replace(plain, images=tmp_path / "none"))
    with pytest.raises(BaseModelError):
        printed(replace(plain, base="/no/such/base"))
    with pytest.raises(ConfigError, match="export is 'paint'"):
        printed(replace(plain, export="paint"))
    with pytest.raises(ConfigError, match="6 workers"):
        printed(replace(plain, workers=6))
    for bad in (0.0, -1.0, float("nan")):
        with pytest.raises(ConfigError, match="tflops"):
            replace(plain, tflops=bad)


def test_a_rate_is_measured(plain: TrainJob) -> None:
    assert 1e8 < measured_rate(torch.device("cpu"), torch.float32) < 1e14
