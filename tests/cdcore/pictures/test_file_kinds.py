import io

import pytest
from PIL import Image

from cdcore.pictures.file_kinds import HEAD_BYTES, PICTURE_SUFFIXES, RAW_SUFFIXES, kind_of

WRITTEN = ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF", "MPO", "DIB", "PPM", "TGA", "ICO"]


def written(format_):
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16)).save(buffer, format=format_)
    return buffer.getvalue()


@pytest.mark.parametrize("format_", WRITTEN)
def test_the_first_bytes_tell_the_kind(format_):
    expected = {"MPO": "JPEG", "DIB": None, "PPM": None, "TGA": None, "ICO": None}
    assert kind_of(written(format_)[:HEAD_BYTES]) == expected.get(format_, format_)


def test_heic_is_told_from_avif_and_from_films():
    pillow_heif = pytest.importorskip("pillow_heif")
    buffer = io.BytesIO()
    pillow_heif.from_pillow(Image.new("RGB", (64, 64))).save(buffer)
    assert kind_of(buffer.getvalue()[:HEAD_BYTES]) == "HEIF"


@pytest.mark.parametrize(
    ("brands", "kind"),
    [
        (b"heic\0\0\0\0mif1heic", "HEIF"),
        (b"mif1\0\0\0\0mif1heic", "HEIF"),
        (b"mif1\0\0\0\0mif1avif", "AVIF"),
        (b"avis\0\0\0\0msf1avis", "AVIF"),
        (b"isom\0\0\0\0isommp41", None),
        (b"mp42\0\0\0\0heicavif", None),
        (b"qt  \0\0\0\0qt  ", None),
        (b"crx \0\0\0\0crx isom", None),
    ],
)
def test_brands_tell_pictures_from_films(brands, kind):
    head = (len(brands) + 8).to_bytes(4, "big") + b"ftyp" + brands
    assert kind_of(head) == kind


@pytest.mark.parametrize(
    "text",
    [
        *(b"", b"BM", b"BMW drives past\nand on and on", b"<html>", b"%!PS-Adobe-3.0 EPSF-3.0"),
        *(b"RIFF\0\0\0\0AVI LIST", b"\0\5\x16\7\0\2", b"8BPS\0\1", b"\xff" * 99, b"\0" * 64),
    ],
)
def test_what_begins_otherwise_is_no_picture(text):
    assert kind_of(text) is None


def test_suffixes_are_lower_case_and_promise_one_thing():
    both = PICTURE_SUFFIXES | RAW_SUFFIXES
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in both)
    assert not PICTURE_SUFFIXES & RAW_SUFFIXES
