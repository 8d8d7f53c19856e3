"""Tests of `cdcore.files`."""

import errno
import json
import os
import tempfile
from pathlib import Path

import pytest

from cdcore.files import readable, replacing, write_text


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
    for path, reason in (
        (tmp_path / "folder.txt", IsADirectoryError),
        (tmp_path / "file" / "below.txt", NotADirectoryError),
        (tmp_path / "file" / "far" / "below.txt", NotADirectoryError),
    ):
        with pytest.raises(reason) as caught:
            write_text(path, "text")
        assert caught.value.filename == str(path)
    assert sorted(found.name for found in tmp_path.iterdir()) == ["file", "folder.txt"]
    assert not list((tmp_path / "folder.txt").iterdir())


def test_others_may_read_the_file(tmp_path: Path) -> None:
    path = tmp_path / "note.txt"
    write_text(path, "text")
    assert path.stat().st_mode & 0o777 == 0o644


def test_an_error_names_the_file_that_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "note.txt"

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(tmp_path / ".note-x.txt"))

    for owner, name in ((tempfile, "mkstemp"), (Path, "replace")):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, refuse)
            with pytest.raises(PermissionError) as caught:
                write_text(path, "text")
        assert caught.value.filename == str(path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "name",
    [
        "x" * 255,
        "x" * 243 + ".safetensors",
        "." + "x" * 254,
        "x." + "y" * 253,
        "猫" * 85,
        "a\nb%20#?*[c] .txt",
        os.fsdecode(b"caf\xe9.json"),
    ],
)
def test_every_name_that_a_disk_holds_can_be_written(name: str, tmp_path: Path) -> None:
    write_text(tmp_path / name, "text")
    assert [(found.name, found.read_text()) for found in tmp_path.iterdir()] == [(name, "text")]


def test_names_that_are_no_text_can_be_in_a_text(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9")
    for written in (json.dumps({"file": name}, ensure_ascii=False), f'{{"file": "{name}"}}'):
        write_text(tmp_path / "note.json", written)
        assert json.loads((tmp_path / "note.json").read_text(encoding="utf-8")) == {"file": name}


@pytest.mark.parametrize("name", ["plain", "a b", os.fsdecode(b"caf\xe9")])
def test_a_file_can_be_read_by_a_name_in_letters(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path(name)
    path.write_text("text")
    with readable(path) as named:
        str(named).encode()
        assert named.read_text() == "text"
        assert (named == path) is name.isprintable()
    assert path.read_text() == "text"
    assert named.exists() is name.isprintable()
