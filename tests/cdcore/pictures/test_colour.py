"""Values are worked out from the standards of each colour space, not by the library."""

import io
import itertools

import numpy as np
import pytest
from PIL import Image, ImageCms

from cdcore.errors import PictureError
from cdcore.pictures.colour import srgb_on_white
from tests.cdcore.pictures.made_files import (
    ADOBE_COLUMNS,
    P3_COLUMNS,
    SRGB_COLUMNS,
    cmyk_profile,
    grey_profile,
    linear_to_srgb,
    png,
    png_chunk,
    rgb_profile,
    srgb_to_linear,
    tiff,
)

LEVELS = 2
"""Of 255: two roundings, and the sixteen bits of a profile's numbers."""

COLOURS = np.array(
    [
        *((128, 128, 128), (0, 0, 0), (255, 255, 255), (200, 100, 50), (40, 90, 160)),
        *((90, 140, 60), (180, 170, 200), (60, 60, 20), (220, 180, 160)),
    ],
    dtype=np.uint8,
)

# CSS Color 4, from D65 to D65: light of Display P3 to light of sRGB.
P3_TO_SRGB = np.array(
    [
        [1.2249401762805598, -0.2249401762805600, 0],
        [-0.0420569547096881, 1.0420569547096881, 0],
        [-0.0196375545903345, -0.0786360455506319, 1.0982736001409663],
    ]
)
# The same source: Adobe RGB (1998) to XYZ, and XYZ to sRGB.
ADOBE_TO_XYZ = np.array(
    [
        [0.5766690429101305, 0.1855582379065463, 0.1882286462349947],
        [0.2973449752505360, 0.6273635662554661, 0.0752914584939978],
        [0.0270313613864123, 0.0706888525358272, 0.9913375368376388],
    ]
)
XYZ_TO_SRGB = np.array(
    [
        [3.2409699419045226, -1.5373831775700939, -0.4986107602930034],
        [-0.9692436362808796, 1.8759675015077202, 0.0415550574071756],
        [0.0556300796969937, -0.2039769588889766, 1.0569715142428786],
    ]
)
# Lindbloom: D50 to D65 by Bradford.
D50_TO_D65 = np.array(
    [
        [0.9555766, -0.0230393, 0.0631636],
        [-0.0282895, 1.0099416, 0.0210077],
        [0.0122982, -0.0204830, 1.3299098],
    ]
)
D50 = np.array([0.9642, 1.0, 0.8249])


def shown(image):
    made = srgb_on_white(image)
    assert made.mode == "RGB"
    return np.asarray(made)


def profiled(pixels, profile, mode=None):
    image = Image.fromarray(pixels, mode) if mode else Image.fromarray(pixels)
    image.info["icc_profile"] = profile
    return image


def opened(data):
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def close_to(found, expected, levels=LEVELS):
    return np.abs(np.asarray(found, np.float64) - np.asarray(expected)).max() <= levels


def srgb_of_lab(lab):
    light, a, b = lab
    middle = (light + 16) / 116
    parts = np.array([middle + a / 500, middle, middle - b / 200])
    xyz = D50 * np.where(parts > 6 / 29, parts**3, 3 * (6 / 29) ** 2 * (parts - 4 / 29))
    return 255 * linear_to_srgb(XYZ_TO_SRGB @ D50_TO_D65 @ xyz)


def test_display_p3_becomes_srgb():
    found = shown(profiled(COLOURS[None], rgb_profile(P3_COLUMNS)))[0]
    expected = 255 * linear_to_srgb(srgb_to_linear(COLOURS / 255) @ P3_TO_SRGB.T)
    assert close_to(found, expected)
    assert np.abs(found.astype(int) - COLOURS).max() > 10


def test_adobe_rgb_becomes_srgb():
    found = shown(profiled(COLOURS[None], rgb_profile(ADOBE_COLUMNS, 563 / 256)))[0]
    light = (COLOURS / 255) ** (563 / 256)
    expected = 255 * linear_to_srgb(light @ ADOBE_TO_XYZ.T @ XYZ_TO_SRGB.T)
    assert close_to(found, expected)
    assert np.abs(found.astype(int) - COLOURS).max() > 10


def test_grey_of_another_curve_becomes_srgb():
    ramp = np.arange(256, dtype=np.uint8)[None]
    found = shown(profiled(ramp, grey_profile(1.0)))
    assert close_to(found[0, :, 0], 255 * linear_to_srgb(ramp[0] / 255), levels=1)
    assert (found == found[..., :1]).all()


def test_grey_with_a_colour_profile_is_a_colour_like_any_other():
    ramp = np.arange(256, dtype=np.uint8)[None]
    found = shown(profiled(ramp, rgb_profile(SRGB_COLUMNS, 1.0)))
    assert close_to(found[0, :, 0], 255 * linear_to_srgb(ramp[0] / 255))


def test_cmyk_follows_its_profile():
    # Inks that are far from the plain ones; black covers all.
    lab_of = {}
    for cyan, magenta, yellow, black in itertools.product((0, 1), repeat=4):
        light = 100.0 - 30 * cyan - 30 * magenta - 10 * yellow
        lab = (light, 20.0 * (magenta - cyan), 30.0 * yellow)
        lab_of[cyan, magenta, yellow, black] = (0.0, 0.0, 0.0) if black else lab
    inks = np.array([[(0, 0, 0, 0), (255, 0, 0, 0), (0, 255, 255, 0), (0, 0, 0, 255)]], np.uint8)
    image = Image.frombytes("CMYK", (4, 1), inks.tobytes())
    image.info["icc_profile"] = cmyk_profile(lab_of)
    found = shown(image)[0]
    used = [(0, 0, 0, 0), (1, 0, 0, 0), (0, 1, 1, 0), (0, 0, 0, 1)]
    expected = [srgb_of_lab(lab_of[each]) for each in used]
    # The table has L*a*b* in steps of 0.4 and 1.
    assert close_to(found, expected, levels=4)


def test_cmyk_without_a_profile_is_plain_inks():
    inks = np.random.default_rng(0).integers(0, 256, (1, 50, 4), np.uint8)
    found = shown(Image.frombytes("CMYK", (50, 1), inks.tobytes()))[0]
    colour, black = inks[0, :, :3] / 255, inks[0, :, 3:] / 255
    assert close_to(found, 255 * (1 - colour) * (1 - black), levels=1)


def test_lab_becomes_srgb():
    stored = np.array([[[128, 20, 250], [200, 240, 30]]], np.uint8)
    found = shown(opened(tiff(stored, bits=8, photometric=8)))[0]
    signed = stored[0].astype(np.int8).astype(float)
    lights = stored[0, :, 0] / 2.55
    expected = [srgb_of_lab((lights[at], *signed[at, 1:])) for at in range(2)]
    assert close_to(found, expected)


@pytest.mark.parametrize("columns", [SRGB_COLUMNS, None])
def test_what_is_srgb_by_any_name_keeps_its_values(columns):
    library_own = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    profile = library_own if columns is None else rgb_profile(columns)
    pixels = np.random.default_rng(1).integers(0, 256, (40, 50, 3), np.uint8)
    assert (shown(profiled(pixels, profile)) == pixels).all()


@pytest.mark.parametrize(
    "profile",
    [
        b"",
        b"\0" * 200,
        rgb_profile(P3_COLUMNS)[:300],
        grey_profile(1.0),
        rgb_profile(P3_COLUMNS).replace(b"RGB ", b"CMYK"),
        rgb_profile(P3_COLUMNS).replace(b"XYZ ", b"Luv "),
    ],
    ids=["empty", "zeros", "cut", "of grey", "of inks", "of other tags"],
)
def test_a_damaged_or_foreign_profile_is_ignored(profile):
    assert (shown(profiled(COLOURS[None], profile))[0] == COLOURS).all()


def test_a_profile_applies_below_transparency():
    rgba = np.dstack([COLOURS[None], np.full((1, len(COLOURS)), 128, np.uint8)])
    found = shown(profiled(rgba, rgb_profile(P3_COLUMNS)))[0]
    opaque = shown(profiled(COLOURS[None], rgb_profile(P3_COLUMNS)))[0].astype(float)
    assert close_to(found, 255 - (255 - opaque) * 128 / 255, levels=1)


def test_a_palette_takes_the_profile_of_its_file():
    palette = Image.new("P", (3, 1))
    palette.putpalette(COLOURS[3:6].tobytes())
    palette.putdata([0, 1, 2])
    palette.info["icc_profile"] = rgb_profile(P3_COLUMNS)
    plain = shown(profiled(COLOURS[None, 3:6], rgb_profile(P3_COLUMNS)))
    assert (shown(palette) == plain).all()


@pytest.mark.parametrize(("order", "photometric"), [("<", 0), ("<", 1), (">", 1)])
def test_sixteen_bit_grey_of_either_direction_is_rounded_to_eight(order, photometric):
    wide = np.arange(65536).reshape(256, 256)
    found = shown(opened(tiff(wide.astype(f"{order}u2"), bits=16, photometric=photometric)))
    expected = np.rint(wide * (255 / 65535))
    assert (found[..., 0] == (expected if photometric else 255 - expected)).all()
    assert (found == found[..., :1]).all()


def test_twelve_bit_grey_has_its_own_range():
    # Two values of twelve bits in three bytes.
    packed = np.frombuffer(bytes([0xFF, 0xF8, 0x00]), np.uint8)
    data = bytearray(tiff(packed[None], bits=12, photometric=1))
    at = data.index(b"\x00\x01\x04\x00\x01\x00\x00\x00\x03")
    data[at + 8] = 2
    assert shown(opened(bytes(data)))[0, :, 0].tolist() == [255, 128]


def test_sixteen_bit_colour_is_right_to_one_level():
    wide = np.random.default_rng(2).integers(0, 65536, (20, 30, 3))
    expected = wide * (255 / 65535)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in wide)
    assert close_to(shown(opened(png(30, 20, rows, bits=16))), expected, levels=1)
    assert close_to(shown(opened(tiff(wide.astype("<u2"), bits=16, photometric=2))), expected, 1)


def test_the_transparent_level_of_sixteen_bit_grey_is_white():
    rows = b"\0" + np.array([300, 40000], ">u2").tobytes()
    key = png_chunk(b"tRNS", (300).to_bytes(2, "big"))
    image = opened(png(2, 1, rows, bits=16, colour=0, chunks=[key]))
    assert shown(image)[0].tolist() == [[255] * 3, [156] * 3]


@pytest.mark.parametrize("is_premultiplied", [True, False])
@pytest.mark.parametrize("colour", [(60, 90, 120), (60,)])
def test_alpha_is_taken_as_it_is_stored(is_premultiplied, colour):
    stored = np.array([[[*colour, 128]]], np.uint8)
    data = tiff(
        stored,
        bits=8,
        photometric=2 if len(colour) == 3 else 1,
        extra=1 if is_premultiplied else 2,
    )
    alpha = 128 / 255
    seen = [value if is_premultiplied else value * alpha for value in colour]
    expected = [value + 255 * (1 - alpha) for value in seen] * (3 // len(colour))
    assert close_to(shown(opened(data))[0, 0], expected, levels=1)


@pytest.mark.parametrize("mode", ["RGBa", "La"])
def test_every_mode_with_alpha_comes_to_lie_on_white(mode):
    via = {"RGBa": "RGBA", "La": "LA"}[mode]
    image = Image.new("RGBA", (2, 1), (100, 100, 100, 0))
    image.putpixel((1, 0), (100, 100, 100, 255))
    found = shown(image.convert(via).convert(mode))[0]
    assert found.tolist() == [[255] * 3, [100] * 3]


def test_one_bit_and_grey_with_alpha():
    assert shown(Image.new("1", (1, 1), 1)).tolist() == [[[255] * 3]]
    assert shown(Image.new("LA", (1, 1), (0, 128))).tolist() == [[[127] * 3]]


@pytest.mark.parametrize("mode", ["I", "F"])
def test_thirty_two_bit_grey_is_refused(mode):
    with pytest.raises(PictureError, match="32-bit greyscale has no known brightness range"):
        srgb_on_white(Image.new(mode, (2, 2)))
