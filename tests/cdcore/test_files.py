"""Tests of `cdcore.files`."""

from pathlib import Path

import pytest

from cdcore.files import replacing, write_text


def test_text_is_written_and_written_again_with_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "down" / "note.txt"
    write_text(path, "one")
    write_text(path, "zwei – 二")
    assert path.read_text(encoding="utf-8") == "zwei – 二"
    assert [found.name for found in path.parent.iterdir()] == ["note.txt"]


def test_the_old_file_stays_until_the_new_one_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "data.bin"
    path.write_bytes(b"old")
    with replacing(path) as temporary:
        temporary.write_bytes(b"new")
        assert path.read_bytes() == b"old"
        assert temporary.parent == path.parent
        assert temporary.suffix == ".bin"
    assert path.read_bytes() == b"new"


def test_a_failure_while_writing_leaves_everything_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "data.bin"
    path.write_bytes(b"old")

    def fail() -> None:
        with replacing(path) as temporary:
            temporary.write_bytes(b"half of the n")
            raise RuntimeError("interrupted")

    with pytest.raises(RuntimeError, match="interrupted"):
        fail()
    assert [(found.name, found.read_bytes()) for found in tmp_path.iterdir()] == [
        ("data.bin", b"old")
    ]


def test_a_place_that_cannot_be_written_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "folder.txt").mkdir()
    (tmp_path / "file").write_text("in the way")
    for path in (tmp_path / "folder.txt", tmp_path / "file" / "below.txt"):
        with pytest.raises(OSError, match=r"folder\.txt|file"):
            write_text(path, "text")
    assert sorted(found.name for found in tmp_path.iterdir()) == ["file", "folder.txt"]
    assert not list((tmp_path / "folder.txt").iterdir())


def test_others_may_read_the_file(tmp_path: Path) -> None:
    path = tmp_path / "note.txt"
    write_text(path, "text")
    assert path.stat().st_mode & 0o777 == 0o644
