"""Tests of `cdcore.pocket.pretraining.album`."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch

from cdcore.pictures.pixels import to_pixels
from cdcore.pocket.drawing.palette import NAMED
from cdcore.pocket.drawing.world import picture
from cdcore.pocket.pretraining import album as album_module
from cdcore.pocket.pretraining.album import Album, open_album
from cdcore.pocket.scenes.caption import words

COUNT = 12


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("albums")


@pytest.fixture(scope="module")
def album(folder: Path) -> Album:
    return open_album(folder, seed=3, count=COUNT, processes=1)


def test_an_album_holds_the_first_pictures_of_its_world(album: Album) -> None:
    assert len(album) == COUNT
    assert album.images_u8.shape == (COUNT, 64, 64, 3)
    for index in (0, COUNT - 1):
        expected = picture(3, index)
        assert (album.images_u8[index] == np.asarray(expected.image)).all()
        assert album.scenes[index] == expected.scene


def test_it_is_the_same_however_it_is_rendered(
    album: Album, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(album_module, "_CHUNK", 5)
    again = open_album(tmp_path, seed=3, count=COUNT, processes=2)
    assert (again.images_u8 == album.images_u8).all()
    assert again.scenes == album.scenes


def test_it_is_rendered_once(album: Album, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("rendered again")

    monkeypatch.setattr(album_module, "_render", refuse)
    monkeypatch.setattr(album_module, "ProcessPoolExecutor", refuse)
    assert (open_album(folder, seed=3, count=COUNT).images_u8 == album.images_u8).all()


def test_another_version_of_the_world_is_rendered_anew(
    album: Album, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = set(folder.iterdir())
    # A palette that is one step darker draws another world.
    monkeypatch.setitem(NAMED, "red", (215, 44, 46))
    monkeypatch.setitem(NAMED, "black", (55, 54, 62))
    monkeypatch.setitem(NAMED, "white", (245, 244, 238))
    monkeypatch.setitem(NAMED, "yellow", (251, 214, 48))
    again = open_album(folder, seed=3, count=COUNT, processes=1)
    assert not (again.images_u8 == album.images_u8).all()
    assert kept < set(folder.iterdir())
    assert again.name != album.name


def test_pixels_are_the_pictures_in_the_range_of_the_models(album: Album) -> None:
    indices = torch.tensor([4, 0, 4])
    pixels = album.pixels(indices)
    assert pixels.shape == (3, 3, 64, 64)
    assert pixels.dtype == torch.float32
    assert torch.equal(pixels[0], pixels[2])
    back = ((pixels[1].permute(1, 2, 0) + 1) * 127.5).round().to(torch.uint8)
    assert (back.numpy() == album.images_u8[0]).all()
    ends = to_pixels(torch.tensor([0, 255], dtype=torch.uint8).view(1, 1, 2, 1))
    assert ends.flatten().tolist() == [-1, 1]


def test_captions_are_worded_anew_but_follow_from_the_draws(album: Album) -> None:
    indices = torch.arange(COUNT)
    rng = random.Random(0)
    first, second = album.captions(indices, rng), album.captions(indices, rng)
    assert first != second
    assert album.captions(indices, random.Random(0)) == first
    assert {word for text in first for word in text.split()} <= set(words())
