"""Tests of `cdcore.pictures.captions`."""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from cdcore.errors import PictureError
from cdcore.pictures.captions import read_captions

NAMES = ("01.jpg", "02.png", "03.jpg")
LINES = "a cat\na black cat on a sofa\ncats\n"


def pictures(folder: Path, names: Sequence[str] = NAMES) -> list[Path]:
    """Names are all that captions look at."""
    return [folder / name for name in sorted(names)]


def write(folder: Path, **texts: str | bytes) -> None:
    for stem, text in texts.items():
        content = text.encode() if isinstance(text, str) else text
        (folder / f"{stem.removeprefix('_')}.txt").write_bytes(content)


@pytest.mark.parametrize(
    "text",
    [
        LINES,
        LINES.rstrip("\n"),
        LINES + "\n \n",
        LINES.replace("\n", "\r\n"),
        "\ufeff" + LINES,
        "  a cat\t\na black cat on a sofa\ncats",
    ],
)
def test_a_list_has_a_line_for_each_picture_in_the_order_of_their_names(
    tmp_path: Path, text: str
) -> None:
    write(tmp_path, caption=text)
    read = read_captions(tmp_path, pictures(tmp_path))
    assert read == ["a cat", "a black cat on a sofa", "cats"]


def test_a_line_is_all_that_stands_on_it(tmp_path: Path) -> None:
    """Captions of the web have number signs, and separators that Python would split at."""
    lines = ["# 1 cat", "a cat\u2028in two\x0cparts\x85of a line", "\u732b"]
    write(tmp_path, caption="\n".join(lines))
    assert read_captions(tmp_path, pictures(tmp_path)) == lines


def test_a_picture_may_have_a_file_of_its_own(tmp_path: Path) -> None:
    write(tmp_path, _01="a cat\n", _02="  a black\n cat on a sofa ", licence="none")
    (tmp_path / "03.TXT").write_text("cats")
    read = read_captions(tmp_path, pictures(tmp_path))
    assert read == ["a cat", "a black cat on a sofa", "cats"]


def test_names_that_differ_in_case_alone_have_their_own_captions(tmp_path: Path) -> None:
    write(tmp_path, cat="small", Cat="large")
    read = read_captions(tmp_path, pictures(tmp_path, ("cat.jpg", "Cat.jpg")))
    assert read == ["large", "small"]


def test_beside_a_picture_of_that_name_the_list_is_the_picture_s_own(tmp_path: Path) -> None:
    write(tmp_path, _01="a cat", caption="a text on a sign")
    read = read_captions(tmp_path, pictures(tmp_path, ("01.jpg", "caption.jpg")))
    assert read == ["a cat", "a text on a sign"]


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({}, "has pictures but no captions; put a caption on each line of caption.txt"),
        ({"captions": LINES}, "has pictures but no captions"),
        ({"caption": "a cat\ncats\n"}, r"has 2 lines for 3 pictures; expected one line for each"),
        ({"caption": LINES + "a dog\n"}, "has 4 lines for 3 pictures"),
        ({"caption": "a cat\n\ncats\n"}, r"line 2 is empty; write the caption of 02\.png there"),
        ({"caption": "\ncats\ncats\n"}, r"line 1 is empty; write the caption of 01\.jpg"),
        ({"caption": "a cat\ncats\n \n"}, "has 2 lines for 3 pictures"),
        ({"caption": ""}, r"caption\.txt: empty; put a caption"),
        ({"caption": "\n\n"}, r"caption\.txt: empty"),
        ({"caption": b"caf\xe9\n\n\n"}, "not a text in UTF-8"),
        ({"caption": LINES, "_01": "a cat"}, r"has caption\.txt and also 01\.txt beside"),
        ({"_01": "a cat"}, r"2 of 3 pictures have no caption \(02\.png, 03\.jpg\)"),
        ({"_01": "a cat", "_02": " \n", "_03": "cats"}, r"02\.txt: empty; write what its"),
        ({"_01": "a cat", "_02": b"\xff\xfe", "_03": "cats"}, r"02\.txt: not a text in UTF-8"),
    ],
)
def test_captions_that_cannot_be_used_are_refused_in_one_line(
    tmp_path: Path, texts: dict[str, str | bytes], message: str
) -> None:
    write(tmp_path, **texts)
    with pytest.raises(PictureError, match=message) as caught:
        read_captions(tmp_path, pictures(tmp_path))
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_list_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "caption.txt").mkdir()
    with pytest.raises(PictureError, match=r"caption\.txt: cannot be read"):
        read_captions(tmp_path, pictures(tmp_path))


def test_a_list_that_is_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "caption.txt")
    with pytest.raises(PictureError, match=r"caption\.txt: cannot be read \(it is no file\)"):
        read_captions(tmp_path, pictures(tmp_path))


def test_a_caption_for_one_of_two_pictures_is_refused(tmp_path: Path) -> None:
    write(tmp_path, _01="a cat", _02="cats")
    with pytest.raises(PictureError, match=r"not clear which picture 01\.txt is of"):
        read_captions(tmp_path, pictures(tmp_path, ("01.jpg", "01.png", "02.jpg")))


@pytest.mark.parametrize(
    "names",
    [
        ("1.jpg", "2.jpg", "10.jpg"),
        ("cat-9.png", "cat-10.png"),
        ("1.jpg", "2.jpg", "10.jpg", "11.png"),
        ("0.jpg", "5.png", "10.jpg"),
    ],
)
def test_a_list_for_names_of_two_orders_is_refused(tmp_path: Path, names: tuple[str, ...]) -> None:
    write(tmp_path, caption="\n".join(names))
    with pytest.raises(
        PictureError, match=r"not clear whether a line is meant for .*10.* or .*007"
    ):
        read_captions(tmp_path, pictures(tmp_path, names))
    for name in names:
        write(tmp_path, **{f"_{Path(name).stem}": name})
    (tmp_path / "caption.txt").unlink()
    assert read_captions(tmp_path, pictures(tmp_path, names)) == sorted(names)


def test_names_without_a_running_number_have_one_order(tmp_path: Path) -> None:
    """As those of class pictures of other tools, which end in a hash."""
    names = ("0-9f3.jpg", "10-12a.jpg", "2-77c.jpg")
    write(tmp_path, caption="\n".join(names))
    assert read_captions(tmp_path, pictures(tmp_path, names)) == list(names)
