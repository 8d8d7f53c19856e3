from pathlib import Path

import pytest

from cdcore.pictures.picture_entry import Entry, is_litter


@pytest.mark.parametrize(
    "name", [".DS_Store", "._a.jpg", "Thumbs.db", "desktop.ini", "Icon\r", "__MACOSX", ".git"]
)
def test_what_systems_leave_is_litter(name):
    assert is_litter(name)


@pytest.mark.parametrize("name", ["a.jpg", "notes.txt", "IMG_1", "Thumbs", "a.DS_Store"])
def test_what_people_leave_is_not(name):
    assert not is_litter(name)


def test_an_entry_is_a_plain_file_unless_it_says_otherwise():
    entry = Entry(path=Path("a.png"))
    assert not entry.is_folder
    assert not entry.is_special
