"""Tests of `rayjobs.pocket_set`."""

import sys
from pathlib import Path

import pytest

from cdcore.command_line.parser import run_command
from cdcore.evaluation.dataset import read_concept_set
from rayjobs import pocket_set


def command(monkeypatch: pytest.MonkeyPatch, *argv: object) -> object:
    monkeypatch.setattr(sys, "argv", ["pocket_set.py", *map(str, argv)])
    with pytest.raises(SystemExit) as caught:
        run_command(pocket_set.main)
    return caught.value.code


def test_the_command_makes_a_set_and_says_where(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "set"
    sizes = ("--per-kind", 1, "--pictures", 1, "--real", 0)
    assert command(monkeypatch, "--output", folder, *sizes) == 0
    assert capsys.readouterr().out == f"11 concepts and 12 pairs: {folder}\n"
    assert len(read_concept_set(folder).singles) == 11
    assert not (folder / "regularization").exists()


@pytest.mark.parametrize("flags", [("--per-kind", 0), ("--per-kind", 101), ("--real", -1)])
def test_impossible_sizes_end_with_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], flags: tuple[object, ...]
) -> None:
    assert command(monkeypatch, *flags) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {flags[0]} is {flags[1]}, expected ")
    assert error.count("\n") == 1
