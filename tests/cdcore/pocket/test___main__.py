"""Tests of `cdcore.pocket.__main__`."""

from dataclasses import fields
from pathlib import Path

import pytest
import torch
from PIL import Image

from cdcore.errors import ConfigError
from cdcore.pocket.__main__ import PieceJob, main
from cdcore.pocket.pretraining.piece import completed_steps
from cdcore.pocket.pretraining.stage_names import STAGES
from cdcore.pocket.pretraining.stages import STAGE_CLASSES
from rayjobs.config.pretraining import PretrainJob


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in STAGE_CLASSES.values():
        monkeypatch.setattr(kind, "batch", 6)


def run(folder: Path, *flags: str) -> None:
    where = ["--output", str(folder / "base"), "--cache", str(folder / "cache")]
    with torch.random.fork_rng():
        main([*where, "--pictures", "16", "--device", "cpu", *flags])


def test_a_base_is_made_from_nothing_and_goes_on_from_its_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path, "--stages", "towers", "--steps", "1")
    step, end = capsys.readouterr().out.splitlines()
    assert step.startswith("towers 1/1  loss ")
    assert end == "completed steps: towers 1"

    run(tmp_path, "--steps", "2")
    out = capsys.readouterr().out
    steps = dict.fromkeys(STAGES, 2)
    assert completed_steps(tmp_path / "base") == steps
    samples = tmp_path / "base" / "samples.png"
    assert f"samples: {samples}" in out
    with Image.open(samples) as image:
        assert image.width > 8 * 192


def test_a_piece_without_time_is_to_be_continued(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path, "--stages", "towers", "--seconds", "1e-9")
    assert capsys.readouterr().out.splitlines() == [
        "completed steps: towers 0",
        "the time is over; the same command continues",
    ]


def test_bad_input_is_refused_before_anything_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConfigError, match=r"^seconds is -1\.0, expected a number above 0$"):
        run(tmp_path, "--seconds", "-1")
    with pytest.raises(ConfigError, match="one of autoencoder, towers"):
        run(tmp_path, "--stages", "tower")
    assert capsys.readouterr() == ("", "")
    assert not (tmp_path / "base").exists()


def test_the_command_and_the_job_pretrain_alike() -> None:
    ours, theirs = PieceJob(), PretrainJob()
    for field in fields(ours):
        assert getattr(ours, field.name) == getattr(theirs, field.name)
