"""Tests of `serve.payloads.image_file`."""

import io
import json
from typing import Literal

import pytest
import torch
from PIL import Image

from cdcore.pictures.pixels import to_image
from serve.payloads.image_file import MEDIA_TYPES, PictureFile, encode

PIXELS = torch.linspace(-1, 1, 3 * 16 * 8).reshape(3, 16, 8)
TOLD = {"seed": 7, "prompt": "a <mycat> Katze, schön"}


def test_a_png_is_exact_and_tells_how_it_was_made() -> None:
    image = Image.open(io.BytesIO(encode(PIXELS, TOLD, PictureFile())))
    assert image.tobytes() == to_image(PIXELS).tobytes()
    assert json.loads(image.info["parameters"]) == TOLD


@pytest.mark.parametrize("kind", ["jpeg", "webp"])
def test_others_tell_it_in_their_own_way(kind: Literal["jpeg", "webp"]) -> None:
    image = Image.open(io.BytesIO(encode(PIXELS, TOLD, PictureFile(kind=kind, quality=60))))
    assert image.get_format_mimetype() == MEDIA_TYPES[kind]
    assert json.loads(image.getexif()[0x010E]) == TOLD
    assert encode(PIXELS, {"x": "y" * 200_000}, PictureFile(kind=kind, quality=0))


def test_previews_are_enlarged() -> None:
    file = PictureFile(size=(32, 64))
    assert Image.open(io.BytesIO(encode(PIXELS, {}, file))).size == (32, 64)
