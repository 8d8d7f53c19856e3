"""Tests of `rayjobs.cli.output_checks`."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cdcore.errors import ConfigError
from rayjobs.cli.output_checks import check_file, check_folder, check_place

Check = Callable[[Path], None]


def file(path: Path, *, overwrite: bool = False) -> None:
    check_file(path, overwrite=overwrite)


def folder(path: Path, *, overwrite: bool = False) -> None:
    check_folder(path, overwrite=overwrite)


def test_what_is_free_is_accepted_and_nothing_is_made(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    file(tmp_path / "deep" / "down" / "a.safetensors")
    folder(tmp_path / "deep" / "down")
    folder(tmp_path / "empty")
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_what_is_there_is_refused_unless_it_may_be_replaced(tmp_path: Path) -> None:
    there = tmp_path / "full" / "a.safetensors"
    there.parent.mkdir()
    there.touch()
    for check, path in ((file, there), (folder, there.parent)):
        with pytest.raises(ConfigError, match="exists; choose another, or give --overwrite"):
            check(path)
        check(path, overwrite=True)


def test_a_folder_is_no_place_for_a_file_and_a_file_none_for_a_folder(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.touch()
    with pytest.raises(ConfigError, match="is a folder; choose another name"):
        file(tmp_path, overwrite=True)
    for check, path in ((file, taken / "a.safetensors"), (folder, taken), (folder, taken / "in")):
        with pytest.raises(ConfigError, match="taken is not a folder"):
            check(path, overwrite=True)


@pytest.mark.parametrize("check", [file, folder, check_place])
def test_a_folder_that_cannot_be_written_is_refused(
    check: Check, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(ConfigError, match=f"{tmp_path.name} is not writable"):
        check(tmp_path / "made")


@pytest.mark.parametrize("check", [file, folder, check_place])
def test_a_name_that_no_disk_holds_is_refused(check: Check, tmp_path: Path) -> None:
    for path in (
        tmp_path / ("x" * 256),
        tmp_path / ("x" * 256) / "below",
        tmp_path / "a" / ("猫" * 86),
    ):
        with pytest.raises(ConfigError, match="bytes, and a name on this disk at most 255"):
            check(path)
    assert list(tmp_path.iterdir()) == []
