import io

import numpy as np
import pytest
from PIL import Image

from cdcore.pictures.bare_file import bare_copies
from tests.cdcore.pictures.made_files import (
    jpeg_segment,
    png,
    png_chunk,
    with_segments,
)

PIXELS = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
EXIF = Image.Exif()
EXIF[0x0112] = 6


def saved(format_, **options):
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, format=format_, **options)
    return buffer.getvalue()


def read(data):
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        return image


@pytest.mark.parametrize("format_", ["PNG", "JPEG"])
def test_each_copy_has_the_same_pixels_and_less_around_them(format_):
    whole = saved(format_, exif=EXIF, icc_profile=b"profile" * 30)
    before = np.asarray(read(whole))
    first, second = bare_copies(whole, format_)
    assert len(whole) >= len(first) > len(second)
    for copy in (first, second):
        assert (np.asarray(read(copy)) == before).all()
    assert {"exif", "icc_profile"} <= read(first).info.keys()
    assert not {"exif", "icc_profile"} & read(second).info.keys()


def test_transparency_stays_and_animations_end():
    palette = Image.new("P", (4, 4))
    palette.putpalette([255, 0, 0])
    buffer = io.BytesIO()
    palette.save(buffer, "PNG", transparency=0, save_all=True, append_images=[palette.copy()])
    for copy in bare_copies(buffer.getvalue(), "PNG"):
        assert read(copy).info["transparency"] in (0, b"\0")
        assert getattr(read(copy), "n_frames", 1) == 1


def test_a_chunk_with_a_wrong_check_sum_goes_first():
    rows = b"".join(b"\0" + row.tobytes() for row in PIXELS)
    bad = png_chunk(b"iCCP", b"x\0\0abc", is_damaged=True)
    first, _ = bare_copies(png(16, 16, rows, chunks=[bad]), "PNG")
    assert first == png(16, 16, rows)


def test_the_meaning_of_channels_stays_in_a_jpeg():
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).convert("CMYK").save(buffer, "JPEG")
    whole = with_segments(buffer.getvalue(), jpeg_segment(0xE5, b"x" * 40))
    for copy in bare_copies(whole, "JPEG"):
        assert (np.asarray(read(copy)) == np.asarray(read(whole))).all()


@pytest.mark.parametrize("format_", ["WEBP", "GIF", "TIFF", "BMP"])
def test_other_kinds_have_no_bare_copy(format_):
    assert list(bare_copies(saved(format_), format_)) == []


@pytest.mark.parametrize("format_", ["PNG", "JPEG"])
@pytest.mark.parametrize("kept", range(0, 60, 7))
def test_a_cut_file_ends_the_walk(format_, kept):
    for copy in bare_copies(saved(format_)[:kept], format_):
        assert len(copy) <= kept
