from io import StringIO
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from cdcore.errors import PictureError
from rayjobs.cli.unread_pictures import print_unread, print_unread_regularization


def folder_of(path: Path, *names: str) -> Path:
    path.mkdir()
    Image.new("RGB", (8, 8)).save(path / "a.png")
    for name in names:
        (path / name).touch()
    return path


def test_each_folder_with_something_unread_has_one_line(tmp_path: Path) -> None:
    told = StringIO()
    cat = folder_of(tmp_path / "cat", "[red]:cat:.txt", "x" * 200)
    print_unread([cat, folder_of(tmp_path / "dog")], Console(file=told, width=40))
    assert told.getvalue() == f"note: cat: not read as pictures: [red]:cat:.txt, {'x' * 200}\n"


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="no pictures in it"):
        print_unread([tmp_path], Console(file=StringIO()))


def test_of_captioned_pictures_captions_are_read_and_the_rest_is_named(tmp_path: Path) -> None:
    told = StringIO()
    folder = folder_of(tmp_path / "cats", "urls.txt")
    (folder / "a.png.txt").write_text("a cat")
    print_unread_regularization([folder], 1, Console(file=told, width=40))
    assert told.getvalue() == "note: cats: not read as pictures: urls.txt\n"
