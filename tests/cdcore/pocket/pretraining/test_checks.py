"""Tests of `cdcore.pocket.pretraining.checks`."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from cdcore.errors import ConfigError, RunError
from cdcore.pocket.pretraining.checks import check_piece, is_complete
from cdcore.pocket.pretraining.piece import Piece
from cdcore.pocket.pretraining.stage_names import STAGES, StageName


def new_piece(tmp_path: Path) -> Piece:
    return Piece(folder=tmp_path / "base", work=tmp_path / "work")


def progressed(folder: Path, **steps: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "progress.json").write_text(json.dumps(steps))


def test_a_new_base_may_start_and_an_old_one_may_go_on(tmp_path: Path) -> None:
    piece = new_piece(tmp_path)
    check_piece(piece)
    (piece.folder / ".run").mkdir(parents=True)
    check_piece(piece)
    progressed(piece.folder, autoencoder=3)
    check_piece(piece)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stages": ()}, "one or more"),
        ({"stages": ("towers", "towers")}, "none twice"),
        ({"seconds": 0.0}, "seconds is 0.0"),
        ({"seconds": float("nan")}, "above 0"),
        ({"pictures": 1}, "pictures is 1"),
        ({"steps": {"unet": 0}}, "stage unet is 0"),
    ],
)
def test_impossible_settings_are_refused(tmp_path: Path, change: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_piece(replace(new_piece(tmp_path), **change))


@pytest.mark.parametrize("stages", [("unet",), ("unet", "autoencoder", "towers")])
def test_the_unet_needs_an_autoencoder_and_towers_first(
    tmp_path: Path, stages: tuple[StageName, ...]
) -> None:
    piece = replace(new_piece(tmp_path), stages=stages)
    with pytest.raises(ConfigError, match="builds on autoencoder and towers"):
        check_piece(piece)
    progressed(piece.folder, autoencoder=1, towers=0)
    with pytest.raises(ConfigError, match="builds on towers"):
        check_piece(piece)
    progressed(piece.folder, autoencoder=1, towers=1)
    check_piece(piece)


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    piece = new_piece(tmp_path)
    piece.folder.mkdir()
    (piece.folder / "letter.txt").write_text("dear")
    with pytest.raises(RunError, match="no base in progress"):
        check_piece(piece)


def test_a_base_is_complete_once_all_but_the_judge_have_begun(tmp_path: Path) -> None:
    assert not is_complete(tmp_path)
    for name in STAGES[:3]:
        progressed(tmp_path, **dict.fromkeys(STAGES[:3], 1) | {name: 0})
        assert not is_complete(tmp_path)
    progressed(tmp_path, **dict.fromkeys(STAGES[:3], 1))
    assert is_complete(tmp_path)
