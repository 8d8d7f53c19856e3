"""Tests of `cdcore.pocket.__main__`."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from cdcore.pocket.__main__ import main
from cdcore.pocket.pretraining.pretrain import completed_steps
from cdcore.pocket.pretraining.stage_names import STAGES
from cdcore.pocket.pretraining.stages import STAGE_CLASSES


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in STAGE_CLASSES.values():
        monkeypatch.setattr(kind, "batch", 6)


def run(folder: Path, *flags: str) -> int:
    where = ["--output", str(folder / "base"), "--cache", str(folder / "cache")]
    with torch.random.fork_rng():
        return main([*where, "--pictures", "16", "--device", "cpu", *flags])


def test_a_base_is_made_from_nothing_and_goes_on_from_its_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, "--stages", "towers", "--steps", "1") == 0
    step, end = capsys.readouterr().out.splitlines()
    assert step.startswith("towers 1/1  loss ")
    assert end == "completed steps: towers 1"

    assert run(tmp_path, "--steps", "2") == 0
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
    assert run(tmp_path, "--stages", "towers", "--seconds", "1e-9") == 0
    assert capsys.readouterr().out.splitlines() == [
        "completed steps: towers 0",
        "the time is over; the same command continues",
    ]


def test_bad_input_is_one_line_and_status_two(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, "--seconds", "-1") == 2
    printed = capsys.readouterr()
    assert printed.err == "error: seconds is -1.0, expected a number above 0\n"
    assert printed.out == ""
    assert not (tmp_path / "base").exists()
