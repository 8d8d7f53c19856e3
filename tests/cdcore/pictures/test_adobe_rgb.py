import io

import numpy as np
import pytest
from PIL import Image, ImageCms

from cdcore.pictures.adobe_rgb import adobe_rgb_profile, names_adobe_rgb
from cdcore.pictures.colour import srgb_on_white
from cdcore.pictures.picture_file import decode
from tests.cdcore.pictures.made_files import linear_to_srgb
from tests.cdcore.pictures.test_colour import (
    ADOBE_TO_XYZ,
    COLOURS,
    LEVELS,
    XYZ_TO_SRGB,
)


def exif_of(index):
    exif = Image.Exif()
    exif[0x010F] = "maker"
    # Adobe RGB has no number of its own in EXIF: 65535 is "other than sRGB".
    exif.get_ifd(0x8769).update({0xA001: 65535, 0xA005: {1: index}})
    return exif


def saved(pixels, exif, format_="JPEG"):
    buffer = io.BytesIO()
    options = {"quality": 100, "subsampling": 0} if format_ == "JPEG" else {}
    Image.fromarray(pixels).save(buffer, format_, exif=exif, **options)
    buffer.seek(0)
    return buffer


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP"])
def test_the_index_in_exif_is_found(format_):
    for index, expected in (("R03", True), ("R98", False), ("THM", False)):
        with Image.open(saved(COLOURS[None], exif_of(index), format_)) as image:
            assert names_adobe_rgb(image.getexif()) == expected
    assert not names_adobe_rgb(Image.Exif())


def test_the_profile_is_adobe_rgb_by_its_definition():
    image = Image.fromarray(COLOURS[None])
    image.info["icc_profile"] = adobe_rgb_profile()
    light = (COLOURS / 255) ** (563 / 256)
    expected = 255 * linear_to_srgb(light @ ADOBE_TO_XYZ.T @ XYZ_TO_SRGB.T)
    assert np.abs(np.asarray(srgb_on_white(image))[0] - expected).max() <= LEVELS


def test_a_camera_s_file_is_read_in_the_space_it_names():
    pixels = np.tile(COLOURS[3], (8, 8, 1))
    plain = decode(saved(pixels, exif_of("R98")), "JPEG")
    found = decode(saved(pixels, exif_of("R03")), "JPEG")
    plain.info["icc_profile"] = adobe_rgb_profile()
    assert (np.asarray(found) == np.asarray(srgb_on_white(plain))).all()
    assert found.getpixel((4, 4)) != plain.getpixel((4, 4))


def test_a_profile_in_the_file_is_believed_before_exif():
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    buffer = io.BytesIO()
    Image.fromarray(COLOURS[None]).save(buffer, "PNG", exif=exif_of("R03"), icc_profile=srgb)
    assert (np.asarray(decode(buffer, "PNG"))[0] == COLOURS).all()
