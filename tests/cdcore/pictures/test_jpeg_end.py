"""Tests of `cdcore.pictures.jpeg_end`, and of what is decoded by it."""

import io
import random
from typing import Any

import pytest
from PIL import Image

from cdcore.errors import PictureError
from cdcore.pictures.jpeg_end import ended_copies
from cdcore.pictures.picture_file import decode

WAYS: dict[str, dict[str, Any]] = {
    "baseline": {},
    "progressive": {"progressive": True},
    "restart markers": {"restart_marker_blocks": 3},
    "progressive, restart markers": {"progressive": True, "restart_marker_rows": 1},
}


def jpeg(mode: str = "RGB", **settings: Any) -> bytes:
    noise = Image.frombytes("RGB", (9, 7), random.Random(1).randbytes(189))
    exif = Image.Exif()
    exif[0x010E] = "a cat \xff\xda \xff\xd9"
    buffer = io.BytesIO()
    noise.resize((45, 39)).convert(mode).save(buffer, "JPEG", exif=exif, **settings)
    return buffer.getvalue()


def pixels(data: bytes) -> bytes:
    return decode(io.BytesIO(data), "JPEG").tobytes()


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("way", WAYS)
def test_a_picture_without_its_end_marker_has_the_same_pixels(mode: str, way: str) -> None:
    whole = jpeg(mode, **WAYS[way])
    assert whole.endswith(b"\xff\xd9")
    for cut in (1, 2):
        assert pixels(whole[:-cut]) == pixels(whole)


@pytest.mark.parametrize("way", WAYS)
def test_a_picture_of_which_data_is_missing_is_refused(way: str) -> None:
    whole = jpeg("L", **WAYS[way])
    for cut in (*range(3, 60), *range(60, len(whole) - 20, 23)):
        with pytest.raises(PictureError, match="damaged picture"):
            pixels(whole[:-cut])


def test_its_metadata_may_be_damaged_as_well() -> None:
    whole = jpeg()
    at = whole.index(b"Exif\0\0")
    harmed = whole[: at + 6] + b"\xff" * 20 + whole[at + 26 : -2]
    assert pixels(harmed) == pixels(whole)


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xd8", b"\xff\xd8\xff\xda\0\x0c", b"\xff" * 99, jpeg()]
)
def test_what_has_an_end_or_is_no_jpeg_has_no_copies(data: bytes) -> None:
    assert ended_copies(data) == ()
