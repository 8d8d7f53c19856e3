import io
import stat
import struct
import zipfile

import pytest
from PIL import Image

from cdcore.errors import PictureError
from cdcore.pictures.picture_archive import archive_entries
from cdcore.pictures.picture_folder import read_pictures
from cdcore.pictures.picture_source import find_pictures


def picture(level=0):
    buffer = io.BytesIO()
    Image.new("L", (8, 8), level).save(buffer, "PNG")
    return buffer.getvalue()


def packed(path, members, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def refusal(path):
    with pytest.raises(PictureError) as caught:
        read_pictures(path)
    line = str(caught.value)
    assert line.startswith(f"{path}: ")
    assert "\n" not in line
    return line


@pytest.mark.parametrize("folder", ["", "cat/", "Download/cat/"])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_an_archive_is_the_folder_it_was_made_of(tmp_path, folder, method):
    (tmp_path / "cat").mkdir()
    members = {}
    for number in range(3):
        (tmp_path / "cat" / f"{number}.png").write_bytes(picture(number))
        members[f"{folder}{number}.png"] = picture(number)
    found = read_pictures(packed(tmp_path / "cat.zip", members, method))
    there = read_pictures(tmp_path / "cat")
    assert [p.path.name for p in found] == [p.path.name for p in there]
    assert [p.digest for p in found] == [p.digest for p in there]


def test_what_systems_pack_along_is_passed_over(tmp_path):
    members = {
        "cat/a.png": picture(),
        "cat/.trashed-b.png": picture(1),
        "cat/.DS_Store": b"\0",
        "__MACOSX/cat/._a.png": b"\0\5\x16\7",
        ".DS_Store": b"\0",
        "Thumbs.db": b"\0",
    }
    found = find_pictures(packed(tmp_path / "cat.zip", members))
    assert [file.path.name for file in found.files] == ["a.png"]
    assert found.unread == (".trashed-b.png (hidden)",)


def test_inner_folders_are_listed_and_not_entered(tmp_path):
    members = {"cat/a.png": picture(), "cat/old/b.png": picture(1), "cat/old/c.png": picture(2)}
    entries = archive_entries(packed(tmp_path / "cat.zip", members))
    assert [(entry.path.name, entry.is_folder) for entry in entries] == [
        ("a.png", False),
        ("old", True),
    ]


def test_backslashes_part_folders_as_windows_means_them(tmp_path):
    path = packed(tmp_path / "cat.zip", {"cat/a.png": picture(), "cat/b.png": picture(1)})
    path.write_bytes(path.read_bytes().replace(b"cat/", b"cat\\"))
    assert [entry.path.name for entry in archive_entries(path)] == ["a.png", "b.png"]


@pytest.mark.parametrize("name", ["../a.png", "/etc/a.png", "cat/../../a.png", "C:\\a.png"])
def test_a_name_outside_of_the_archive_is_refused(tmp_path, name):
    path = packed(tmp_path / "cat.zip", {"b.png": picture(), name: picture()})
    assert "which would lie outside of it" in refusal(path)
    assert sorted(tmp_path.iterdir()) == [path]


def test_an_encrypted_archive_says_what_to_do(tmp_path):
    path = packed(tmp_path / "cat.zip", {"a.png": picture()}, zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    data[6] |= 1
    data[data.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(data)
    assert "an encrypted zip archive; unpack it" in refusal(path)


def test_an_archive_that_says_it_is_huge_is_refused_before_it_is_unpacked(tmp_path):
    path = packed(tmp_path / "cat.zip", {f"{n}.bmp": b"BM" for n in range(2)})
    data = path.read_bytes()
    for start in (b"PK\1\2", b"PK\3\4"):
        at = 24 if start == b"PK\1\2" else 22
        parts = data.split(start)
        size = struct.pack("<I", 3 * 2**30)
        data = start.join([parts[0], *(p[: at - 4] + size + p[at:] for p in parts[1:])])
    path.write_bytes(data)
    assert "unpacks to 6.0 GB, at most 4 are read" in refusal(path)


def test_a_member_that_grows_beyond_what_it_says_is_refused(tmp_path):
    path = packed(tmp_path / "cat.zip", {"a.bmp": b"BM" + bytes(10**6)})
    data = path.read_bytes()
    path.write_bytes(data.replace(struct.pack("<I", 10**6 + 2), struct.pack("<I", 70)))
    refusal(path)


def test_an_archive_in_an_archive_is_no_picture(tmp_path):
    inner = packed(tmp_path / "inner.zip", {"a.png": picture()})
    path = packed(tmp_path / "cat.zip", {"inner.zip": inner.read_bytes(), "more.zip": b"PK"})
    assert "no pictures in it, but inner.zip, more.zip" in refusal(path)


def test_two_files_of_one_name_are_refused(tmp_path):
    path = packed(tmp_path / "cat.zip", {"a.png": picture(), "b.png": picture()})
    path.write_bytes(path.read_bytes().replace(b"b.png", b"a.png"))
    assert "several files 'a.png'" in refusal(path)


@pytest.mark.parametrize("kept", [0.5, 0.9])
def test_a_cut_archive_is_refused(tmp_path, kept):
    path = packed(tmp_path / "cat.zip", {f"{n}.png": picture(n) for n in range(9)})
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data))])
    refusal(path)


def test_a_damaged_member_is_named(tmp_path):
    path = packed(tmp_path / "cat.zip", {"a.png": picture()}, zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    data[60] ^= 0xFF
    path.write_bytes(data)
    assert "'a.png'" in refusal(path)


def damage(path, name):
    """Change a byte of a member, so that its checksum is wrong."""
    with zipfile.ZipFile(path) as archive:
        at = archive.getinfo(name).header_offset + 30 + len(name)
    data = bytearray(path.read_bytes())
    data[at] ^= 0xFF
    path.write_bytes(data)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_damaged_member_that_is_no_picture_is_named_and_costs_nothing_else(tmp_path, method):
    members = {"cat/a.png": picture(), "cat/notes.txt": b"a cat", "cat/._a": b"\0\5\x16\7"}
    path = packed(tmp_path / "cat.zip", members, method)
    damage(path, "cat/notes.txt")
    damage(path, "cat/._a")
    found = find_pictures(path)
    assert [file.path.name for file in found.files] == ["a.png"]
    assert found.unread == ("notes.txt (cannot be unpacked)",)
    assert len(read_pictures(path)) == 1


def test_an_encrypted_note_is_named_and_costs_no_picture(tmp_path):
    members = {"notes.txt": b"a cat", "a.png": picture()}
    path = packed(tmp_path / "cat.zip", members, zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    data[6] |= 1
    data[data.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(data)
    assert find_pictures(path).unread == ("notes.txt (cannot be unpacked)",)
    assert len(read_pictures(path)) == 1


def test_a_link_in_an_archive_is_a_text_and_no_picture(tmp_path):
    path = tmp_path / "cat.zip"
    link = zipfile.ZipInfo("a.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(PictureError, match=r"a\.png: not a picture"):
        read_pictures(path)


@pytest.mark.parametrize("members", [{}, {"notes.txt": b"hello"}])
def test_an_archive_without_pictures_says_so(tmp_path, members):
    assert "no pictures in it" in refusal(packed(tmp_path / "cat.zip", members))
