import io
import resource
import struct
import subprocess
import sys
import textwrap
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from cdcore.errors import PictureError
from cdcore.pictures import picture_file
from cdcore.pictures.file_kinds import HEAD_BYTES, kind_of
from cdcore.pictures.picture_file import MAX_SHORT_SIDE_PX, decode
from tests.cdcore.pictures.made_files import (
    P3_COLUMNS,
    bmp,
    jpeg_segment,
    png,
    png_chunk,
    rgb_profile,
    tiff,
    with_segments,
)

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 16, 3), np.uint8)
ROWS = b"".join(b"\0" + row.tobytes() for row in PIXELS)


def saved(format_, image=None, **options):
    buffer = io.BytesIO()
    # A copy, because an image keeps what its last encoder was told.
    (image or Image.fromarray(PIXELS)).copy().save(buffer, format=format_, **options)
    return buffer.getvalue()


def decoded(data):
    kind = kind_of(data[:HEAD_BYTES])
    assert kind is not None
    return decode(io.BytesIO(data), kind)


def pixels(data):
    return np.asarray(decoded(data))


def refusal(data):
    with pytest.raises(PictureError) as caught:
        decoded(data)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def exif_orientation(value):
    exif = Image.Exif()
    exif[0x0112] = value
    return exif


def exif_of_text():
    exif = Image.Exif()
    exif[0x010E] = "a cat"
    return exif


# Metadata

PNG_METADATA = {
    "a text bomb": png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"a" * 2**24)),
    "an international text bomb": png_chunk(
        b"iTXt", b"Comment\0\1\0\0\0" + zlib.compress(b"a" * 2**24)
    ),
    "a text that is no text": png_chunk(b"tEXt", b"\xff" * 99),
    "a packed text that is not packed": png_chunk(b"zTXt", b"Comment\0\0abc"),
    "a text with a wrong check sum": png_chunk(b"tEXt", b"Comment\0a", is_damaged=True),
    "a profile bomb": png_chunk(b"iCCP", b"icc\0\0" + zlib.compress(b"a" * 2**24)),
    "an EXIF block that is no TIFF": png_chunk(b"eXIf", b"not a TIFF at all"),
    "an EXIF block that ends early": png_chunk(b"eXIf", b"MM\0*\0\0\0\x08\0\x09"),
    "an EXIF block as a text": png_chunk(
        b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n 99\nzz")
    ),
    "a resolution that ends early": png_chunk(b"pHYs", b"\0"),
    "a colour space that ends early": png_chunk(b"cHRM", b"\0"),
    "a gamma that ends early": png_chunk(b"gAMA", b"\0"),
    "an sRGB chunk without its byte": png_chunk(b"sRGB", b""),
}


@pytest.mark.parametrize("name", PNG_METADATA)
def test_damaged_metadata_of_a_png_do_not_touch_its_pixels(name):
    assert (pixels(png(16, 24, ROWS, chunks=[PNG_METADATA[name]])) == PIXELS).all()
    assert (pixels(png(16, 24, ROWS, late_chunks=[PNG_METADATA[name]])) == PIXELS).all()


def test_texts_without_end_are_ignored():
    texts = [png_chunk(b"zTXt", b"a\0\0" + zlib.compress(b"a" * 10**6))] * 80
    assert (pixels(png(16, 24, ROWS, late_chunks=texts)) == PIXELS).all()


JPEG_METADATA = {
    "an EXIF block that is no TIFF": jpeg_segment(0xE1, b"Exif\0\0not a TIFF"),
    "an empty EXIF block": jpeg_segment(0xE1, b"Exif\0\0"),
    "an EXIF block that ends early": jpeg_segment(0xE1, b"Exif\0\0MM\0*\0\0\0\x08\0\x09\1\x12"),
    "an EXIF block that points nowhere": jpeg_segment(0xE1, b"Exif\0\0II*\0\xff\xff\xff\xff"),
    "an EXIF orientation of another type": jpeg_segment(
        0xE1, b"Exif\0\0II*\0\x08\0\0\0\1\0\x12\1\2\0\2\0\0\0\x61\0\0\0\0\0\0\0"
    ),
    "an XMP that is no XML": jpeg_segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta"),
    "a profile of no length": jpeg_segment(0xE2, b"ICC_PROFILE\0"),
    "a profile with a part missing": jpeg_segment(0xE2, b"ICC_PROFILE\0\1\3" + bytes(200)),
    "a profile of zeros": jpeg_segment(0xE2, b"ICC_PROFILE\0\1\1" + bytes(200)),
    "a list of pictures that is none": jpeg_segment(0xE2, b"MPF\0MM\0*\0\0\0\x08\0\x09"),
    "a block of Photoshop that ends early": jpeg_segment(0xED, b"Photoshop 3.0\x008BIM\4\4"),
    "a JFIF header that ends early": jpeg_segment(0xE0, b"JFIF\0"),
    "an Adobe header that ends early": jpeg_segment(0xEE, b"Adobe"),
    "a comment of no text": jpeg_segment(0xFE, b"\xff\xfe\0"),
}


@pytest.mark.parametrize("name", JPEG_METADATA)
def test_damaged_metadata_of_a_jpeg_do_not_touch_its_pixels(name):
    plain = saved("JPEG", quality=95)
    found = pixels(with_segments(plain, JPEG_METADATA[name]))
    assert (found == pixels(plain)).all()


@pytest.mark.parametrize("format_", ["WEBP", "AVIF"])
def test_an_exif_block_that_is_no_tiff_is_ignored_in_newer_kinds(format_):
    plain = saved(format_, quality=90, exif=exif_of_text())
    damaged = plain.replace(b"MM\0*", b"no T").replace(b"II*\0", b"no T")
    assert damaged != plain
    assert (pixels(damaged) == pixels(plain)).all()


def test_an_exif_block_that_is_no_tiff_is_ignored_in_heic():
    pillow_heif = pytest.importorskip("pillow_heif")
    buffer = io.BytesIO()
    exif = exif_of_text().tobytes()
    pillow_heif.from_pillow(Image.fromarray(PIXELS)).save(buffer, exif=exif, quality=-1)
    plain = buffer.getvalue()
    damaged = plain.replace(b"MM\0*", b"no T").replace(b"II*\0", b"no T")
    assert damaged != plain
    assert (pixels(damaged) == pixels(plain)).all()


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_orientation_is_applied_in_every_kind_that_has_it(format_):
    options = {"quality": 95, "lossless": True} if format_ != "AVIF" else {"quality": 100}
    upright = pixels(saved(format_, **options))
    turned = pixels(saved(format_, exif=exif_orientation(6), **options))
    assert (turned == np.rot90(upright, -1)).all()


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_is_none(value):
    found = pixels(saved("PNG", exif=exif_orientation(value)))
    assert (found == PIXELS).all()


def test_orientation_and_profile_stay_where_only_a_text_is_damaged():
    bomb = PNG_METADATA["a text bomb"]
    exif = png_chunk(b"eXIf", exif_orientation(3).tobytes()[6:])
    profile = png_chunk(b"iCCP", b"icc\0\0" + zlib.compress(rgb_profile(P3_COLUMNS)))
    whole = pixels(png(16, 24, ROWS, chunks=[exif, profile]))
    assert (pixels(png(16, 24, ROWS, chunks=[bomb, exif, profile])) == whole).all()
    assert (whole != pixels(png(16, 24, ROWS, chunks=[exif]))).any()


# Kinds and modes


@pytest.mark.parametrize("format_", ["PNG", "WEBP", "TIFF", "JPEG", "AVIF"])
def test_a_profile_is_found_in_every_kind_that_has_one(format_):
    options = {"lossless": True, "quality": 100}
    plain = np.asarray(decoded(saved(format_, **options)), np.int16)
    found = np.asarray(decoded(saved(format_, icc_profile=rgb_profile(P3_COLUMNS), **options)))
    image = Image.fromarray(plain.astype(np.uint8))
    transform = ImageCms.buildTransform(
        ImageCms.ImageCmsProfile(io.BytesIO(rgb_profile(P3_COLUMNS))),
        ImageCms.createProfile("sRGB"),
        *("RGB", "RGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    assert (found == np.asarray(transform.apply(image))).all()


def test_an_interlaced_png_is_read():
    # Adam7 of two by two pixels: passes one, six and seven.
    header = struct.pack(">IIBBBBB", 2, 2, 8, 0, 0, 0, 1)
    body = zlib.compress(bytes([0, 10, 0, 20, 0, 30, 40]))
    chunks = (b"IHDR", header), (b"IDAT", body), (b"IEND", b"")
    data = b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks)
    assert pixels(data)[..., 0].tolist() == [[10, 20], [30, 40]]


@pytest.mark.parametrize(("bits", "scale"), [(1, 255), (2, 85), (4, 17), (8, 1), (16, 257)])
def test_the_transparent_level_of_a_grey_png_is_white_at_every_depth(bits, scale):
    top = 2**bits - 1
    stored = (0).to_bytes(1, "big") + int(f"{1:0{bits}b}{0:0{bits}b}".ljust(32, "0"), 2).to_bytes(
        4, "big"
    )
    key = png_chunk(b"tRNS", (1).to_bytes(2, "big"))
    used = 1 + -(-2 * bits // 8)
    found = pixels(png(2, 1, stored[:used], bits=bits, colour=0, chunks=[key]))
    assert found[0, :, 0].tolist() == [255, 0]
    opaque = pixels(png(2, 1, stored[:used], bits=bits, colour=0))
    assert opaque[0, 0, 0] == round(255 / top)
    assert scale == 255 // top or bits == 16


def test_the_transparent_colour_of_a_png_is_white_at_both_depths():
    for bits, kind in ((8, "B"), (16, "H")):
        colour, other = (1, 2, 3), (4, 5, 6)
        if bits == 16:
            colour, other = (300, 40000, 65535), (25700, 25700, 25700)
        key = png_chunk(b"tRNS", struct.pack(">3H", *colour))
        row = b"\0" + struct.pack(f">6{kind}", *colour, *other)
        found = pixels(png(2, 1, row, bits=bits, chunks=[key]))[0]
        assert found[0].tolist() == [255] * 3
        assert found[1].tolist() == ([4, 5, 6] if bits == 8 else [100] * 3)


def test_a_bmp_whose_alpha_was_never_written_is_opaque():
    assert pixels(bmp([(1, 2, 3, 0), (4, 5, 6, 0)])).tolist() == [[[3, 2, 1], [6, 5, 4]]]
    shown = pixels(bmp([(0, 0, 0, 255), (4, 5, 6, 0)]))
    assert shown.tolist() == [[[0, 0, 0], [255, 255, 255]]]


def test_of_several_pictures_in_a_file_the_first_is_read():
    first, second = Image.fromarray(PIXELS), Image.new("RGB", (16, 24))
    for format_ in ("MPO", "TIFF", "GIF", "WEBP", "PNG"):
        options = {"lossless": True} if format_ == "WEBP" else {}
        both = saved(format_, first, save_all=True, append_images=[second.copy()], **options)
        one = saved("JPEG" if format_ == "MPO" else format_, first, **options)
        assert (pixels(both) == pixels(one)).all(), format_


def test_a_film_behind_a_photograph_is_passed_over():
    plain = saved("JPEG")
    film = b"\0\0\0\x18ftypmp42" + bytes(5000)
    assert (pixels(plain + film) == pixels(plain)).all()


@pytest.mark.parametrize("tag", [254, 50706])
def test_a_raw_file_of_a_camera_is_not_read_as_its_thumbnail(tag):
    from PIL import TiffImagePlugin

    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[tag] = 1 if tag == 254 else b"\1\4\0\0"
    assert "a camera's raw file" in refusal(saved("TIFF", tiffinfo=tags))


# Sizes


def png_declaring(width, height, colour=2):
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(b"\0")), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks)


@pytest.mark.parametrize(
    ("width", "height", "colour"), [(50_000, 50_000, 2), (10_001, 20_000, 2), (10_001, 10_000, 6)]
)
def test_a_bomb_is_refused_from_its_header(width, height, colour):
    megapixels = width * height / 1e6
    line = refusal(png_declaring(width, height, colour))
    assert line == (
        f"{megapixels:.0f} megapixels need more than 1.6 GB to be decoded; scale it down first"
    )


def test_jpegs_have_a_bound_for_the_coefficients_of_progressive_ones():
    small = saved("JPEG")
    at = small.index(b"\xff\xc0") + 5
    huge = small[:at] + struct.pack(">HH", 60_000, 60_000) + small[at + 4 :]
    assert refusal(huge).startswith("3600 megapixels need more than 1.6 GB")


@pytest.mark.slow
def test_a_bomb_takes_no_memory():
    script = """
    import io, resource, sys
    from cdcore.errors import PictureError
    from cdcore.pictures.picture_file import decode
    from tests.cdcore.pictures.test_picture_file import png_declaring
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for size in ((50_000, 50_000), (16_000, 12_000)):
        try:
            decode(io.BytesIO(png_declaring(*size)), "PNG")
        except PictureError as error:
            print(error)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True
    )
    too_large, damaged, grown_kb = done.stdout.splitlines()
    assert too_large.startswith("2500 megapixels need")
    assert damaged.startswith("a damaged picture")
    assert int(grown_kb) < 900_000


def two_tones(width, height, mode="L"):
    """A JPEG whose upper half is white and whose lower half is black."""
    image = Image.new(mode, (width, height), "white")
    image.paste("black", (0, height // 2, width, height))
    return saved("JPEG", image, quality=30)


@pytest.mark.slow
@pytest.mark.parametrize(("width", "height"), [(12_000, 9_000), (16_320, 12_240)])
def test_photographs_of_108_and_200_megapixels_are_decoded_smaller(width, height):
    photograph = two_tones(width, height, "RGB")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    image = decoded(photograph)
    assert MAX_SHORT_SIDE_PX <= min(image.size) < 2 * MAX_SHORT_SIDE_PX
    assert image.width * height == image.height * width
    assert image.getpixel((1_500, 500)) == (255, 255, 255)
    assert image.getpixel((1_500, image.height - 500)) == (0, 0, 0)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000


def test_only_jpegs_beyond_the_whole_size_are_decoded_smaller(monkeypatch):
    photograph = two_tones(4 * 1100, 2 * MAX_SHORT_SIDE_PX)
    assert decoded(photograph).size == (4400, 4096)
    monkeypatch.setattr(picture_file, "_WHOLE_PIXELS", 4400 * 4096 - 1)
    image = decoded(photograph)
    assert image.size == (2200, 2048)
    assert [image.getpixel((9, y))[0] for y in (0, 1000, 1047, 2047)] == [255, 255, 0, 0]


# Damage


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9])
def test_a_truncated_picture_is_refused(format_, kept):
    noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
    whole = saved(format_, Image.fromarray(noise))
    assert refusal(whole[: int(kept * len(whole))]).startswith("a damaged picture, or ")


def test_a_truncated_picture_with_damaged_metadata_is_refused_too():
    whole = png(16, 24, ROWS, chunks=[PNG_METADATA["a text bomb"]])
    assert refusal(whole[:-200]).startswith("a damaged picture, or ")


def test_a_tiff_with_one_strange_tag_is_read():
    data = tiff(PIXELS, bits=8, photometric=2, extra=None)
    assert (pixels(data) == PIXELS).all()
