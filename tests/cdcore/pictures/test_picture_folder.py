import hashlib
import importlib.util
import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from cdcore.errors import PictureError
from cdcore.pictures.picture_file import MAX_SHORT_SIDE_PX
from cdcore.pictures.picture_folder import (
    Picture,
    are_photographs,
    picture_warnings,
    read_pictures,
    split_holdout,
)

RED, GREEN, WHITE = (255, 0, 0), (0, 255, 0), (255, 255, 255)


def only(folder):
    (picture,) = read_pictures(folder)
    return picture


def noise(size, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def named(*sizes):
    return [
        Picture.from_image(noise(size, seed), Path(f"{seed}.png"))
        for seed, size in enumerate(sizes)
    ]


def test_pictures_come_in_name_order_and_other_files_are_ignored(tmp_path):
    for name in ("b.png", "a.jpg", "C.PNG", "d.webp", "e.bmp", "f.tiff"):
        noise((9, 7)).save(tmp_path / name)
    (tmp_path / "captions.txt").write_text("a cat")
    (tmp_path / ".DS_Store").write_bytes(b"\0\0")
    (tmp_path / "._a.jpg").write_bytes(b"\0\0")
    (tmp_path / "sub.png").mkdir()
    noise((9, 7)).save(tmp_path / "sub.png" / "inner.png")
    pictures = read_pictures(tmp_path)
    names = [picture.path.name for picture in pictures]
    assert names == ["C.PNG", "a.jpg", "b.png", "d.webp", "e.bmp", "f.tiff"]
    assert {picture.image.mode for picture in pictures} == {"RGB"}
    assert {picture.image.size for picture in pictures} == {(9, 7)}


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, orientation):
    inverse = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    upright = noise((3, 2)).resize((48, 32), Image.Resampling.NEAREST)
    stored = upright.transpose(inverse[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "a.jpg", exif=exif, quality=95, subsampling=0)
    image = only(tmp_path).image
    assert image.size == upright.size
    difference = np.asarray(image, np.int16) - np.asarray(upright, np.int16)
    assert np.abs(difference).mean() < 4


def test_transparent_parts_become_white(tmp_path):
    image = Image.new("RGBA", (4, 4), (*RED, 0))
    image.putpixel((1, 1), (*GREEN, 255))
    image.putpixel((2, 2), (0, 0, 0, 128))
    image.save(tmp_path / "a.png")
    read = only(tmp_path).image
    assert read.getpixel((0, 0)) == WHITE
    assert read.getpixel((1, 1)) == GREEN
    assert read.getpixel((2, 2)) == (127, 127, 127)


def test_transparency_of_palettes_and_greyscale_becomes_white(tmp_path):
    palette = Image.new("P", (4, 4), 0)
    palette.putpalette([*RED, *GREEN])
    palette.putpixel((1, 1), 1)
    palette.save(tmp_path / "a.png", transparency=0)
    Image.new("LA", (4, 4), (10, 0)).save(tmp_path / "b.png")
    Image.new("L", (4, 4), 7).save(tmp_path / "c.png", transparency=7)
    first, second, third = read_pictures(tmp_path)
    assert first.image.getpixel((0, 0)) == WHITE
    assert first.image.getpixel((1, 1)) == GREEN
    assert second.image.getpixel((0, 0)) == WHITE
    assert third.image.getpixel((0, 0)) == WHITE


def test_cmyk_greyscale_and_bilevel_become_rgb(tmp_path):
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "a.jpg", quality=100)
    Image.new("L", (4, 4), 77).save(tmp_path / "b.png")
    Image.new("1", (4, 4), 1).save(tmp_path / "c.png")
    cmyk, grey, bilevel = (picture.image for picture in read_pictures(tmp_path))
    assert np.abs(np.asarray(cmyk.getpixel((8, 8))) - np.asarray(RED)).max() < 8
    assert grey.getpixel((0, 0)) == (77, 77, 77)
    assert bilevel.getpixel((0, 0)) == WHITE


@pytest.mark.parametrize("name", ["a.png", "a.tiff"])
def test_sixteen_bit_greyscale_keeps_its_brightness(tmp_path, name):
    values = np.array([[0, 128 * 257, 255 * 257], [257, 300, 65535]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / name)
    read = np.asarray(only(tmp_path).image)
    assert read[..., 0].tolist() == [[0, 128, 255], [1, 1, 255]]
    assert (read == read[..., :1]).all()


def test_floating_point_greyscale_is_refused(tmp_path):
    Image.new("F", (4, 4), 0.5).save(tmp_path / "a.tiff")
    with pytest.raises(PictureError, match=r"a\.tiff: 32-bit greyscale"):
        read_pictures(tmp_path)


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png"])
def test_the_first_frame_of_an_animation_is_taken(tmp_path, name):
    frames = [Image.new("RGB", (8, 8), color) for color in (RED, GREEN)]
    frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], lossless=True)
    assert only(tmp_path).image.getpixel((4, 4)) == RED


def test_very_large_pictures_are_scaled_down_in_proportion(tmp_path):
    side = MAX_SHORT_SIDE_PX
    Image.new("RGB", (side * 5 // 4, side * 5 // 2), RED).save(tmp_path / "a.bmp")
    image = only(tmp_path).image
    assert image.size == (side, 2 * side)
    assert image.getpixel((5, 5)) == RED


def test_the_digest_depends_on_pixels_and_size_but_not_on_the_file(tmp_path):
    image = noise((6, 4))
    image.save(tmp_path / "a.png")
    image.save(tmp_path / "b.bmp")
    Image.frombytes("RGB", (4, 6), image.tobytes()).save(tmp_path / "c.png")
    changed = image.copy()
    changed.putpixel((0, 0), tuple(255 - value for value in image.getpixel((0, 0))))
    changed.save(tmp_path / "d.png")
    first, copy, turned, other = (picture.digest for picture in read_pictures(tmp_path))
    assert first == copy == hashlib.sha256(b"6x4:" + image.tobytes()).hexdigest()
    assert len({first, turned, other}) == 3


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"])
@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1", "RGBA", "LA", "CMYK"])
@pytest.mark.parametrize("has_srgb_profile", [False, True])
def test_the_digest_of_an_ordinary_picture_is_that_of_runs_before(
    tmp_path, format_, mode, has_srgb_profile
):
    # Runs and caches are known by these digests: of what Pillow alone makes of the file.
    options = {}
    if has_srgb_profile:
        options["icc_profile"] = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x0112] = 6
    try:
        noise((31, 20)).convert(mode).save(tmp_path / "a", format_, exif=exif, **options)
    except (OSError, ValueError):
        pytest.skip(f"no {format_} has mode {mode}")
    # Not by name: Pillow then maps a TIFF into memory by its turned size, and shears it.
    with Image.open(io.BytesIO((tmp_path / "a").read_bytes())) as opened:
        shown = ImageOps.exif_transpose(opened)
    if shown.has_transparency_data:
        rgba = shown.convert("RGBA")
        shown = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    rgb = shown.convert("RGB")
    size = f"{rgb.width}x{rgb.height}:".encode()
    assert only(tmp_path).digest == hashlib.sha256(size + rgb.tobytes()).hexdigest()


def test_what_a_file_says_of_itself_does_not_travel_with_its_pixels(tmp_path):
    noise((8, 8)).save(tmp_path / "a.jpg", comment=b"c" * 1000, icc_profile=b"p" * 1000)
    image = only(tmp_path).image
    assert image.info == {}
    assert type(image) is Image.Image


def test_an_image_that_is_given_is_not_changed():
    image = noise((8, 8))
    image.info["icc_profile"] = b"p"
    picture = Picture.from_image(image, Path("a.png"))
    assert picture.image is not image
    assert image.info == {"icc_profile": b"p"}


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(PictureError, match="nowhere: no such folder"):
        read_pictures(tmp_path / "nowhere")


def test_a_file_instead_of_a_folder_is_named(tmp_path):
    noise((4, 4)).save(tmp_path / "a.png")
    with pytest.raises(PictureError, match=r"a\.png: not a folder"):
        read_pictures(tmp_path / "a.png")


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may list every folder")
def test_a_folder_that_cannot_be_listed_is_named(tmp_path):
    tmp_path.chmod(0)
    try:
        with pytest.raises(PictureError, match="cannot be listed"):
            read_pictures(tmp_path)
    finally:
        tmp_path.chmod(0o700)


def test_a_folder_without_pictures_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing")
    (tmp_path / "inner").mkdir()
    with pytest.raises(PictureError, match=r"no pictures in it.*subfolders are not searched"):
        read_pictures(tmp_path)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.gif", "a.bmp", "a.tiff"])
@pytest.mark.parametrize("kept", [0.02, 0.5, 0.9])
def test_a_truncated_picture_is_named_in_one_line(tmp_path, name, kept):
    noise((64, 64)).save(tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(PictureError, match=name) as caught:
        read_pictures(tmp_path)
    assert "\n" not in str(caught.value)


def test_an_empty_file_is_named(tmp_path):
    (tmp_path / "a.png").touch()
    with pytest.raises(PictureError, match=r"a\.png: empty file"):
        read_pictures(tmp_path)


@pytest.mark.parametrize(
    "content", [b"<html>404</html>", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"\xff" * 99]
)
def test_what_is_no_picture_is_refused_whatever_its_name(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(PictureError, match=r"a\.png: not a picture"):
        read_pictures(tmp_path)


def test_a_dangling_link_is_named(tmp_path):
    (tmp_path / "a.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises(PictureError, match=r"a\.png"):
        read_pictures(tmp_path)


def test_a_jpeg_named_png_is_read(tmp_path):
    noise((8, 8)).save(tmp_path / "a.png", format="JPEG")
    assert only(tmp_path).image.size == (8, 8)


@pytest.mark.skipif(
    importlib.util.find_spec("pillow_heif") is not None, reason="pillow-heif is installed"
)
def test_heic_without_its_package_says_what_to_install(tmp_path):
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic")
    with pytest.raises(PictureError, match=r"a\.heic: HEIC pictures need the package pillow-heif"):
        read_pictures(tmp_path)


def test_heic_is_read_when_its_package_is_there(tmp_path):
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.from_pillow(Image.new("RGB", (64, 48), RED)).save(tmp_path / "a.heic")
    image = only(tmp_path).image
    assert image.size == (64, 48)
    assert np.abs(np.asarray(image.getpixel((5, 5))) - np.asarray(RED)).max() < 8


def test_holding_out_takes_the_last_pictures():
    pictures = named(*[(8, 8)] * 5)
    for count in range(5):
        kept, held_out = split_holdout(pictures, count)
        assert kept + held_out == pictures
        assert len(held_out) == count


@pytest.mark.parametrize("count", [-1, 3, 4])
def test_holding_out_leaves_at_least_one_picture(count):
    with pytest.raises(PictureError, match=f"cannot hold out {count} of 3 pictures"):
        split_holdout(named(*[(8, 8)] * 3), count)


def test_good_pictures_give_no_warning():
    assert picture_warnings(named((64, 90), (32, 64), (64, 64), (80, 64)), 64) == []


def test_each_kind_of_weakness_gives_one_line():
    pictures = named((64, 31), (10, 64))
    lines = picture_warnings([*pictures, pictures[0]], 64)
    assert len(lines) == 3
    few, doubles, small = lines
    assert few.startswith("only 3 picture(s)")
    assert "0.png = 0.png" in doubles
    assert "0.png (64x31)" in small
    assert "1.png (10x64)" in small


def test_long_lists_of_names_are_cut():
    (line,) = picture_warnings(named(*[(8, 8)] * 40), 64)
    assert line.endswith("and 35 more")


def test_a_picture_larger_than_a_drawn_one_is_a_photograph():
    assert not are_photographs(named((64, 64), (128, 4000)))
    assert are_photographs(named((64, 64), (129, 200)))
