"""Tests of `cdcore.training.captioned_pictures`."""

import zipfile
from pathlib import Path

import pytest
import torch
from PIL import Image

from cdcore.errors import ConfigError, PictureError
from cdcore.pictures.augmentation import apply_variant, plain_variant
from cdcore.pictures.picture_folder import read_pictures
from cdcore.training.captioned_pictures import (
    captioned_paths,
    notes_on_folder,
    read_captioned_pictures,
)
from tests.rayjobs.train_case import write_pictures

CAPTIONS = ("a cat", "a cat on a sofa", "two cats")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = write_pictures(tmp_path / "cats", len(CAPTIONS))
    (made / "caption.txt").write_text("\n".join(CAPTIONS))
    return made


def test_pictures_come_with_their_captions_and_as_training_will_show_them(folder: Path) -> None:
    """Cropping and scaling them now, once, changes no pixel of what the autoencoder will see."""
    found = read_captioned_pictures(folder, 3, 32)
    assert [one.caption for one in found] == list(CAPTIONS)
    for one, whole in zip(found, read_pictures(folder), strict=True):
        assert one.picture.image.size == (32, 32)
        assert one.picture.path == whole.path
        for flip in (False, True):
            variant = plain_variant(32, flip=flip)
            shown, _ = apply_variant(one.picture.image, variant, 32, 8)
            expected, _ = apply_variant(whole.image, variant, 32, 8)
            assert torch.equal(shown, expected)


def test_the_first_so_many_are_taken_and_no_other_is_opened(folder: Path) -> None:
    whole = (folder / "2.png").read_bytes()
    (folder / "2.png").write_bytes(whole[: len(whole) // 2])
    found = read_captioned_pictures(folder, 2, 32)
    assert [one.caption for one in found] == list(CAPTIONS[:2])
    assert captioned_paths(folder, 1) == [(folder / "0.png", "a cat")]
    with pytest.raises(PictureError, match=r"2\.png: "):
        read_captioned_pictures(folder, 3, 32)


def test_pictures_may_lie_in_a_folder_of_their_own_as_in_the_authors_data_sets(
    folder: Path, tmp_path: Path
) -> None:
    outer = tmp_path / "class"
    outer.mkdir()
    folder.rename(outer / "images")
    (outer / "images" / "caption.txt").rename(outer / "caption.txt")
    expected = [(outer / "images" / f"{n}.png", caption) for n, caption in enumerate(CAPTIONS)]
    assert captioned_paths(outer, 3) == expected
    assert [one.caption for one in read_captioned_pictures(outer, 3, 32)] == list(CAPTIONS)
    (outer / "caption.txt").unlink()
    for path, caption in expected:
        path.with_suffix(".txt").write_text(caption)
    assert captioned_paths(outer, 3) == expected


def test_too_few_pictures_are_refused_with_the_way_out(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"has 3 pictures, .* 4 or more; .*_images to 3"):
        captioned_paths(folder, 4)


@pytest.mark.parametrize("caption", ["a <mycat> cat", "a <B>bold</B> cat"])
def test_a_caption_that_names_a_modifier_token_is_refused(folder: Path, caption: str) -> None:
    """Nothing has a row for it, and the encoder would end the run in its workers."""
    (folder / "caption.txt").write_text("\n".join((*CAPTIONS[:2], caption)))
    with pytest.raises(PictureError, match=r"2\.png: its caption names <(mycat|b)>.*ordinary"):
        captioned_paths(folder, 3)


def test_missing_folders_and_captions_are_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "caption.txt").unlink()
    with pytest.raises(PictureError, match="no captions"):
        captioned_paths(folder, 3)
    with pytest.raises(PictureError, match="no such folder"):
        captioned_paths(tmp_path / "none", 3)
    with zipfile.ZipFile(tmp_path / "cats.zip", "w") as archive:
        archive.write(folder / "0.png", "0.png")
    with pytest.raises(PictureError, match=r"cats\.zip: an archive; unpack it"):
        captioned_paths(tmp_path / "cats.zip", 1)
    Image.new("RGB", (8, 8)).save(tmp_path / "one.png")
    with pytest.raises(PictureError, match="not a folder"):
        captioned_paths(tmp_path / "one.png", 1)


def test_what_of_the_folder_is_not_read_is_named_and_captions_are_not(
    folder: Path, tmp_path: Path
) -> None:
    assert notes_on_folder(folder, 3) == []
    (folder / "urls.txt").touch()
    (folder / "film.mp4").touch()
    (folder / ".DS_Store").touch()
    unread = "cats: not read as pictures: film.mp4, urls.txt"
    assert notes_on_folder(folder, 3) == [unread]
    fewer = "cats: the first 2 of 3 pictures by name are shown"
    assert notes_on_folder(folder, 2) == [unread, fewer]
    for number, caption in enumerate(CAPTIONS):
        (folder / f"{number}.png.txt").write_text(caption)
    (folder / "caption.txt").rename(folder / "old.caption")
    assert notes_on_folder(folder, 3) == [
        "cats: not read as pictures: film.mp4, old.caption, urls.txt"
    ]


def test_in_the_layout_of_the_authors_all_of_both_folders_is_named(tmp_path: Path) -> None:
    outer = tmp_path / "class"
    write_pictures(outer / "images", 12)
    write_pictures(outer, 1)
    names = [f"{number}.png" for number in range(12)]
    (outer / "caption.txt").write_text("\n".join(names))
    (outer / "images.txt").write_text("\n".join(f"/a/{name}" for name in names))
    (outer / "urls.txt").touch()
    (outer / "images" / "more").mkdir()
    (outer / "images" / "notes.md").touch()
    for path, caption in captioned_paths(outer, 12):
        assert path.name == caption
    assert notes_on_folder(outer, 12) == [
        "class: each line of caption.txt is of the picture on that line of images.txt",
        "class: not read as pictures: 0.png, urls.txt, images/more/ (a folder), images/notes.md",
    ]
