"""Tests of `cdcore.pictures.caption_files`."""

from pathlib import Path

import pytest

from cdcore.errors import PictureError
from cdcore.pictures.caption_files import found_list, lines_of, own_files


def test_lines_are_those_that_end_with_a_newline_and_no_others(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("\ufeffa\u2028b\r\n\n c \n\n \n".encode())
    assert lines_of(tmp_path / "a.txt") == ["a\u2028b", "", "c"]
    (tmp_path / "a.txt").write_text(" \n")
    assert lines_of(tmp_path / "a.txt") == []


def test_a_list_in_two_cases_must_be_one(tmp_path: Path) -> None:
    (tmp_path / "caption.txt").write_text("a")
    (tmp_path / "Caption.txt").write_text("b")
    with pytest.raises(PictureError, match="which differ; keep one"):
        found_list("caption.txt", tmp_path, [tmp_path / "0.jpg"])
    assert found_list("images.txt", tmp_path, [tmp_path / "0.jpg"]) is None


def test_hidden_texts_and_other_folders_are_of_no_picture(tmp_path: Path) -> None:
    (tmp_path / ".a.txt").touch()
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.txt").touch()
    assert own_files([tmp_path / "a.jpg"]) == [None]
