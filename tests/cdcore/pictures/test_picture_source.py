import os
import socket

import pytest
from PIL import Image

from cdcore.errors import PictureError, one_line
from cdcore.pictures import picture_source
from cdcore.pictures.picture_source import find_pictures


def put(folder, name, format_="PNG"):
    Image.new("RGB", (8, 8)).save(folder / name, format=format_)


def names(found):
    return [file.path.name for file in found.files]


def refusal(path):
    with pytest.raises(PictureError) as caught:
        find_pictures(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "format_"),
    [
        *(("a.JPG", "JPEG"), ("a.jfif", "JPEG"), ("a.JPE", "JPEG"), ("a.mpo", "MPO")),
        *(("a", "JPEG"), ("a.png", "JPEG"), ("a.jpg", "WEBP"), ("a.txt", "PNG")),
        *(("a.jpg_large", "JPEG"), ("a.jpeg~orig", "JPEG"), ("photo.2024", "TIFF")),
        *(("a.dng", "JPEG"), ("a.gif", "AVIF"), ("a.", "BMP"), ("ä ö.PnG", "PNG")),
    ],
)
def test_content_decides_whatever_the_name(tmp_path, name, format_):
    put(tmp_path, name, format_)
    found = find_pictures(tmp_path)
    assert names(found) == [name]
    assert found.files[0].kind == ("JPEG" if format_ == "MPO" else format_)
    assert found.unread == ()
    assert found.note is None


def test_what_is_not_read_is_named(tmp_path):
    put(tmp_path, "a.png")
    put(tmp_path, ".trashed-b.png")
    put(tmp_path, "raw.NEF", "TIFF")
    (tmp_path / "a.txt").write_text("a cat")
    (tmp_path / "film.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(60))
    (tmp_path / "cats.zip").write_bytes(b"PK\3\4")
    (tmp_path / "more").mkdir()
    (tmp_path / "drawing.svg").write_text("<svg/>")
    (tmp_path / "empty").touch()
    (tmp_path / "lost").symlink_to(tmp_path / "nowhere")
    found = find_pictures(tmp_path)
    assert names(found) == ["a.png"]
    assert found.unread == (
        ".trashed-b.png (hidden)",
        "a.txt",
        "cats.zip",
        "drawing.svg",
        "empty",
        "film.mp4",
        "lost (No such file or directory)",
        "more/ (a folder)",
        "raw.NEF (a camera's raw file)",
    )
    assert found.note == f"{tmp_path.name}: not read as pictures: {', '.join(found.unread)}"


def test_what_systems_leave_is_passed_over_quietly(tmp_path):
    put(tmp_path, "a.png")
    for name in (".DS_Store", "._a.png", "Thumbs.db", "desktop.ini", ".nomedia"):
        (tmp_path / name).write_bytes(b"\0\5\x16\7")
    (tmp_path / ".git").mkdir()
    (tmp_path / "__MACOSX").mkdir()
    assert find_pictures(tmp_path).unread == ()


def test_long_lists_are_cut_with_their_number(tmp_path):
    put(tmp_path, "a.png")
    for number in range(30):
        (tmp_path / f"{number:02}.txt").touch()
    note = find_pictures(tmp_path).note
    assert note is not None
    assert note.endswith("08.txt, 09.txt and 20 more")


def test_names_of_any_bytes_make_one_line_of_text(tmp_path):
    put(tmp_path, "a.png")
    for name in (b"two\nlines", b"\xff\xfe", b"\x1b[31m"):
        (tmp_path / os.fsdecode(name)).touch()
    note = find_pictures(tmp_path).note
    assert note is not None
    assert note.isprintable()
    note.encode()


def test_nothing_is_waited_for(tmp_path):
    put(tmp_path, "a.png")
    os.mkfifo(tmp_path / "pipe.png")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        (tmp_path / "zero.jpg").symlink_to("/dev/zero")
        found = find_pictures(tmp_path)
    why = "(a pipe, socket or device)"
    assert found.unread == (f"pipe.png {why}", f"socket {why}", f"zero.jpg {why}")
    os.mkfifo(tmp_path / "alone")
    assert "not a folder, and no zip archive" in refusal(tmp_path / "alone")


@pytest.mark.parametrize("content", [b"<html>404</html>", b"\xff" * 99, b"\0\0\0\x18ftypmp42"])
@pytest.mark.parametrize("suffix", [".png", ".JPG", ".jfif", ".heic"])
def test_a_broken_promise_is_refused_at_once(tmp_path, content, suffix):
    put(tmp_path, "fine.png")
    (tmp_path / f"a{suffix}").write_bytes(content)
    assert "not a picture that can be read, whatever its name says" in refusal(tmp_path)


def test_a_link_that_leads_nowhere_is_named(tmp_path):
    put(tmp_path, "fine.png")
    (tmp_path / "a.png").symlink_to(tmp_path / "gone.png")
    assert refusal(tmp_path) == (
        f"{tmp_path}/a.png: cannot be opened (No such file or directory); mend or remove it"
    )


def test_a_link_in_a_circle_is_named(tmp_path):
    (tmp_path / "a.png").symlink_to(tmp_path / "a.png")
    assert "a.png: cannot be opened (Too many levels of symbolic links)" in refusal(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read every file")
@pytest.mark.parametrize(("name", "is_refused"), [("b.png", True), ("b.txt", False)])
def test_a_file_that_may_not_be_read_is_named(tmp_path, name, is_refused):
    put(tmp_path, "a.png")
    (tmp_path / name).write_bytes(b"?")
    (tmp_path / name).chmod(0)
    if is_refused:
        assert "b.png: cannot be opened (Permission denied)" in refusal(tmp_path)
    else:
        assert find_pictures(tmp_path).unread == ("b.txt (Permission denied)",)


def test_links_to_pictures_are_pictures(tmp_path):
    (tmp_path / "there").mkdir()
    put(tmp_path / "there", "a.png")
    (tmp_path / "here").symlink_to(tmp_path / "there")
    (tmp_path / "there" / "b.png").symlink_to("a.png")
    assert names(find_pictures(tmp_path / "here")) == ["a.png", "b.png"]


def test_a_folder_of_a_folder_says_what_it_has(tmp_path):
    (tmp_path / "mycat").mkdir()
    (tmp_path / "notes.txt").touch()
    assert "no pictures in it, but mycat/ (a folder), notes.txt; put" in refusal(tmp_path)


def test_a_folder_of_too_many_files_is_refused_unopened(tmp_path, monkeypatch):
    monkeypatch.setattr(picture_source, "_MAX_ENTRIES", 3)
    for number in range(4):
        os.mkfifo(tmp_path / f"{number}.png")
    assert "more than 3 entries; give a folder with the pictures of one concept alone" in refusal(
        tmp_path
    )


@pytest.mark.parametrize("name", ["nowhere", "file/inner", "a\0b", "x" * 300])
def test_what_is_not_there_is_one_line(tmp_path, name):
    (tmp_path / "file").touch()
    shown = one_line(tmp_path / name)
    assert refusal(tmp_path / name).startswith(f"{shown}: ")
