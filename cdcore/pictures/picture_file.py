"""One picture file, decoded within bounds: as sRGB, upright, whatever its metadata are like."""

import hashlib
import importlib
import importlib.util
import warnings
from contextlib import suppress
from io import BytesIO
from typing import BinaryIO

from PIL import ExifTags, Image

from cdcore.errors import PictureError, first_line
from cdcore.pictures.adobe_rgb import adobe_rgb_profile, names_adobe_rgb
from cdcore.pictures.bare_file import bare_copies
from cdcore.pictures.colour import srgb_on_white
from cdcore.pictures.file_kinds import Kind
from cdcore.pictures.jpeg_end import ended_copies

__all__ = ["MAX_DECODING_BYTES", "MAX_SHORT_SIDE_PX", "decode"]

MAX_DECODING_BYTES = 1_600_000_000
"""A picture that would take more memory is refused before anything is decoded: 200 megapixels, or
100 with transparency, or a JPEG of some 250."""

MAX_SHORT_SIDE_PX = 2048
"""Larger pictures are scaled down when read: training at 1024 never looks at more than 1434, and a
folder of camera pictures would otherwise fill the memory."""

_WHOLE_PIXELS = 100_000_000
"""A JPEG of more pixels is decoded at a half, a quarter or an eighth of its size. Smaller ones are
not, because their pixels are part of the identity of runs that have been trained on them."""

# Pillow holds a colour in four bytes, and each conversion makes a copy.
_BYTES_A_PIXEL, _TRANSPARENT_BYTES_A_PIXEL = 8, 16
_COEFFICIENT_BYTES = 2
"""A progressive JPEG is held whole, as coefficients, until its last scan has come."""

_SHALLOW_KEYS = {"L;2": 85, "L;4": 17}
_DEEP_COLOUR = "RGB;16B"

_REDUCED, _DNG_VERSION = 254, 50706

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What undoes each EXIF orientation."""


def decode(file: BinaryIO, kind: Kind) -> Image.Image:
    """Decode the first picture of a file.

    Metadata that cannot be read are ignored: the picture is then taken as it is stored. A JPEG that
    lacks nothing but its end marker is read.

    Args:
        file: At its beginning, seekable; stays open.
        kind: What it begins as.

    Returns:
        Mode RGB, sRGB on white, upright; a JPEG of more than 100 megapixels smaller than it is.

    Raises:
        PictureError: It is damaged, cannot be read here, or would take more than
            `MAX_DECODING_BYTES`; the message names no file.
    """
    _check_readable(kind)
    with warnings.catch_warnings():
        # What Pillow finds strange and reads all the same is no news to the user.
        warnings.simplefilter("ignore")
        try:
            return _decoded(file, kind)
        except PictureError:
            raise
        except Exception as damage:  # Pillow's decoders raise almost any type on damaged files.
            found = _decoded_mended(file, kind)
            if found is None:
                raise PictureError(
                    f"a damaged picture, or one stored in an unusual way ({first_line(damage)}); "
                    "save it again, or remove it"
                ) from damage
            return found


def _check_readable(kind: Kind) -> None:
    if kind == "HEIF":
        if importlib.util.find_spec("pillow_heif") is None:
            raise PictureError(
                "HEIC pictures need the package pillow-heif; install it, or save as JPEG"
            )
        importlib.import_module("pillow_heif").register_heif_opener()
    Image.init()
    if kind not in Image.OPEN:
        raise PictureError(f"{kind} pictures need a newer Pillow; update it, or save as JPEG")


def _decoded_mended(file: BinaryIO, kind: Kind) -> Image.Image | None:
    """Decode with an end, or without metadata; None where that does not help."""
    file.seek(0)
    data = file.read()
    ended = _ended(data) if kind == "JPEG" else None
    copies = [] if ended is None else [ended]
    for copy in (*copies, *bare_copies(ended or data, kind)):
        try:
            return _decoded(BytesIO(copy), kind)
        except PictureError:
            raise
        except Exception:
            continue
    return None


def _ended(data: bytes) -> bytes | None:
    """Return a JPEG file with the end marker that it lacks; None where it lacks more."""
    shown = set()
    copies = ended_copies(data)
    for copy in copies:
        try:
            shown.add(hashlib.sha256(_decoded(BytesIO(copy), "JPEG").tobytes()).digest())
        except PictureError:
            raise
        except Exception:
            return None
    return copies[0] if len(shown) == 1 else None


def _decoded(file: BinaryIO, kind: Kind) -> Image.Image:
    # Not Image.open, which judges a picture by the pixels that it declares.
    file.seek(0)
    opener, _ = Image.OPEN[kind]
    try:
        image = opener(file, "")
        if kind == "TIFF":
            _check_no_thumbnail(image)
        declared = image.width * image.height
        if kind == "JPEG" and declared > _WHOLE_PIXELS:
            image.draft(None, _bounded_size(image))
        _check_memory(image, declared, kind)
        _scale_key(image)
        image.load()
    except Image.DecompressionBombError as error:
        raise _too_large() from error
    _add_profile(image)
    orientation = _orientation(image)
    shown = image.convert("RGB") if kind == "BMP" and _is_invisible(image) else image
    rgb = srgb_on_white(shown)
    return rgb.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else rgb


def _check_no_thumbnail(image: Image.Image) -> None:
    """Refuse a camera's raw file: what it begins with is a TIFF of its thumbnail."""
    tags = getattr(image, "tag_v2", {})
    if _DNG_VERSION in tags or tags.get(_REDUCED, 0) & 1:
        raise PictureError("a camera's raw file, which begins with a thumbnail; save it as JPEG")


def _bounded_size(image: Image.Image) -> tuple[int, int]:
    short = min(image.size)
    width, height = (max(1, side * MAX_SHORT_SIDE_PX // short) for side in image.size)
    return width, height


def _check_memory(image: Image.Image, declared: int, kind: Kind) -> None:
    each = _TRANSPARENT_BYTES_A_PIXEL if image.has_transparency_data else _BYTES_A_PIXEL
    need = image.width * image.height * each
    if kind == "JPEG":
        need += declared * len(image.getbands()) * _COEFFICIENT_BYTES
    if need > MAX_DECODING_BYTES:
        raise _too_large(declared)


def _too_large(pixels: int | None = None) -> PictureError:
    what = f"{pixels / 1e6:.0f} megapixels need" if pixels else "it needs"
    return PictureError(
        f"{what} more than {MAX_DECODING_BYTES / 1e9:.1f} GB to be decoded; scale it down first"
    )


def _scale_key(image: Image.Image) -> None:
    """Give a PNG's transparent colour the range of the values that Pillow decodes."""
    key = image.info.get("transparency")
    tiles = getattr(image, "tile", None)
    raw_mode = tiles[0].args if tiles else None
    if isinstance(key, int) and raw_mode in _SHALLOW_KEYS:
        image.info["transparency"] = key * _SHALLOW_KEYS[raw_mode]
    elif isinstance(key, tuple) and raw_mode == _DEEP_COLOUR:
        image.info["transparency"] = tuple(value >> 8 for value in key)


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:
        return 1


def _add_profile(image: Image.Image) -> None:
    """Give a picture of a camera the profile that its EXIF data name."""
    if image.info.get("icc_profile"):
        return
    # EXIF blocks are damaged in as many ways as pictures.
    with suppress(Exception):
        if names_adobe_rgb(image.getexif()):
            image.info["icc_profile"] = adobe_rgb_profile()


def _is_invisible(image: Image.Image) -> bool:
    """Whether no pixel is seen: many programs leave the fourth byte of a BMP at zero."""
    return image.mode == "RGBA" and image.getchannel("A").getextrema() == (0, 0)
