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
    read = list(read_captions(tmp_path, pictures(tmp_path)).texts)
    assert read == ["a cat", "a black cat on a sofa", "cats"]


def test_a_line_is_all_that_stands_on_it(tmp_path: Path) -> None:
    """Captions of the web have number signs, and separators that Python would split at."""
    lines = ["# 1 cat", "a cat\u2028in two\x0cparts\x85of a line", "\u732b"]
    write(tmp_path, caption="\n".join(lines))
    assert list(read_captions(tmp_path, pictures(tmp_path)).texts) == lines


def test_a_picture_may_have_a_file_of_its_own(tmp_path: Path) -> None:
    write(tmp_path, _01="a cat\n", _02="  a black\n cat on a sofa ", licence="none")
    (tmp_path / "03.TXT").write_text("cats")
    read = list(read_captions(tmp_path, pictures(tmp_path)).texts)
    assert read == ["a cat", "a black cat on a sofa", "cats"]


def test_names_that_differ_in_case_alone_have_their_own_captions(tmp_path: Path) -> None:
    write(tmp_path, cat="small", Cat="large")
    read = list(read_captions(tmp_path, pictures(tmp_path, ("cat.jpg", "Cat.jpg"))).texts)
    assert read == ["large", "small"]


def test_beside_a_picture_of_that_name_the_list_is_the_picture_s_own(tmp_path: Path) -> None:
    write(tmp_path, _01="a cat", caption="a text on a sign")
    read = list(read_captions(tmp_path, pictures(tmp_path, ("01.jpg", "caption.jpg"))).texts)
    assert read == ["a cat", "a text on a sign"]


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({}, "has pictures but no captions; put a caption on each line of caption.txt"),
        ({"captions": LINES}, r"has pictures but no captions that are read \(not captions\.txt\)"),
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
    assert list(read_captions(tmp_path, pictures(tmp_path, names)).texts) == sorted(names)


def test_names_without_a_running_number_have_one_order(tmp_path: Path) -> None:
    """As those of class pictures of other tools, which end in a hash."""
    names = ("0-9f3.jpg", "10-12a.jpg", "2-77c.jpg")
    write(tmp_path, caption="\n".join(names))
    assert list(read_captions(tmp_path, pictures(tmp_path, names)).texts) == list(names)


AUTHORS = tuple(f"{number}.jpg" for number in range(12))
"""The names of the authors' data sets, which have two orders."""


@pytest.mark.parametrize(
    "line",
    [
        "/data/real/samples_cat/images/{}",
        "./real_reg/samples_cat/images/{}",
        "{}",
        "D:\\cats\\images\\{}",
        '"images/{}"',
        "https://host/{}",
    ],
)
@pytest.mark.parametrize("inner", ["", "images"])
def test_a_list_of_names_says_which_picture_each_line_is_of(
    tmp_path: Path, line: str, inner: str
) -> None:
    (tmp_path / inner).mkdir(exist_ok=True)
    names = "\n".join(line.format(name) for name in AUTHORS)
    write(tmp_path, caption="\n".join(f"of {name}" for name in AUTHORS), images=names + "\n\n")
    shown = pictures(tmp_path / inner, AUTHORS)
    found = read_captions(tmp_path, shown)
    assert found.texts == tuple(f"of {path.name}" for path in shown)
    assert found.note == "each line of caption.txt is of the picture on that line of images.txt"
    assert {file.name for file in found.files} == {"caption.txt", "images.txt"}
    # A picture that was removed, and one that was saved as another kind.
    fewer = [path.with_suffix(".PNG") for path in shown[1:5]]
    assert read_captions(tmp_path, fewer).texts == tuple(f"of {p.stem}.jpg" for p in fewer)


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (AUTHORS[:11], "it has 11 lines for 12 captions"),
        ((*AUTHORS[:11], "other.jpg"), r"it names 11\.jpg nowhere"),
        ((*AUTHORS[:11], "a/10.jpg"), r"it names 10\.jpg twice or more"),
    ],
)
def test_a_list_of_names_that_does_not_fit_is_said_to_be_left_out(
    tmp_path: Path, names: Sequence[str], why: str
) -> None:
    lines = [f"a cat, number {number}" for number in range(12)]
    write(tmp_path, caption="\n".join(lines), images="\n".join(names))
    with pytest.raises(PictureError, match=rf"not clear .* \(images\.txt is not read, for {why}"):
        read_captions(tmp_path, pictures(tmp_path, AUTHORS))
    padded = [f"{number:02}-a.jpg" for number in range(12)]
    found = read_captions(tmp_path, pictures(tmp_path, padded))
    assert list(found.texts) == lines
    assert found.note is not None
    assert "is not read, for it" in found.note
    assert [file.name for file in found.files] == ["caption.txt"]


def test_an_empty_line_is_called_by_the_name_that_the_list_gives_it(tmp_path: Path) -> None:
    write(tmp_path, caption="a\n\nb", images="03.jpg\n01.jpg\n02.png")
    with pytest.raises(PictureError, match=r"line 2 is empty; write the caption of 01\.jpg"):
        read_captions(tmp_path, pictures(tmp_path))


@pytest.mark.parametrize("name", ["Caption.txt", "CAPTION.TXT", "caption.Txt"])
@pytest.mark.parametrize("place", ["", "images"])
def test_a_list_is_found_in_any_case_and_inside_the_pictures_folder(
    tmp_path: Path, name: str, place: str
) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / place / name).write_text(LINES)
    found = read_captions(tmp_path, pictures(tmp_path / "images"))
    assert found.texts == ("a cat", "a black cat on a sofa", "cats")
    assert found.files == (tmp_path / place / name,)


def test_of_two_lists_that_differ_one_must_go(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for place in ("", "images"):
        (tmp_path / place / "caption.txt").write_text(LINES)
    assert read_captions(tmp_path, pictures(tmp_path / "images")).texts[0] == "a cat"
    (tmp_path / "images" / "caption.txt").write_text(LINES + "x")
    with pytest.raises(
        PictureError, match=r"has caption\.txt and also images/caption\.txt, which differ"
    ):
        read_captions(tmp_path, pictures(tmp_path / "images"))


@pytest.mark.parametrize(
    "names",
    [
        ("01.jpg.txt", "02.png.txt", "03.jpg.txt"),
        ("01.JPG.txt", "02.txt", "03.jpg.TXT"),
        ("01.TXT", "02.Txt", "03.txt"),
    ],
)
def test_a_picture_s_own_file_may_have_the_whole_name(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    for number, name in enumerate(names):
        (tmp_path / name).write_text(f"cat {number}")
    found = read_captions(tmp_path, pictures(tmp_path))
    assert found.texts == ("cat 0", "cat 1", "cat 2")
    assert [file.name for file in found.files] == list(names)


def test_whole_names_tell_pictures_of_one_stem_apart(tmp_path: Path) -> None:
    for name in ("01.jpg", "01.png"):
        (tmp_path / f"{name}.txt").write_text(name)
    found = read_captions(tmp_path, pictures(tmp_path, ("01.jpg", "01.png")))
    assert found.texts == ("01.jpg", "01.png")
    (tmp_path / "01.txt").write_text("which?")
    with pytest.raises(PictureError, match=r"has 01\.txt and also 01\.jpg\.txt for 01\.jpg"):
        read_captions(tmp_path, pictures(tmp_path, ("01.jpg", "01.png")))


@pytest.mark.parametrize("name", ["A.txt", "a.JPG.txt"])
def test_upper_case_does_not_matter_where_it_is_clear_what_is_meant(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_text("a cat")
    assert read_captions(tmp_path, pictures(tmp_path, ("a.jpg",))).texts == ("a cat",)
    with pytest.raises(PictureError, match=r"no caption|not clear"):
        read_captions(tmp_path, pictures(tmp_path, ("a.jpg", "a.Jpg")))


def test_what_may_have_been_meant_as_captions_is_named(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for name in ("metadata.jsonl", "images/a.caption", "images/labels.TXT"):
        (tmp_path / name).touch()
    with pytest.raises(PictureError, match=r"not metadata\.jsonl, images/a\.caption, images/labe"):
        read_captions(tmp_path, pictures(tmp_path / "images"))
