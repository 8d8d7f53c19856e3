"""Colour: a picture of any mode and profile as 8-bit sRGB without transparency.

Transparent parts become white: cut-outs are published on white pages, so the base has seen many
things on white and hardly any on the flat grey that the augmentation uses as padding.
"""

import io

import numpy as np
from PIL import Image, ImageCms

from cdcore.errors import PictureError

__all__ = ["srgb_on_white"]

_SAME_LEVELS = 2
"""Profiles that all call themselves sRGB differ by up to this many of 255."""
_FLAGS = ImageCms.Flags.BLACKPOINTCOMPENSATION
_EXACT = ImageCms.Flags.NOOPTIMIZE
"""Slow, and 256 levels of grey are few; the table that stands for it is ten levels off."""
_INTENT = ImageCms.Intent.RELATIVE_COLORIMETRIC
_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}
"""The mode that a profile's space is applied to."""
_GREY_MODES = ("1", "L", "LA")
_BITS_PER_SAMPLE, _PHOTOMETRIC = 258, 262
_WHITE_IS_ZERO = 0


def srgb_on_white(image: Image.Image) -> Image.Image:
    """Return a picture in mode RGB as sRGB shows it, transparent parts white.

    An embedded profile is applied by relative colorimetry with black point compensation; a damaged
    one, or one of other channels, is ignored, and a picture whose profile is sRGB in all but name
    keeps its values. CMYK without a profile is taken as plain inks, R = (1 - C)(1 - K). Values of
    16 bits are rounded to the nearest of 8, but for 16-bit colour, of which Pillow keeps the upper
    byte.

    Args:
        image: Any mode that files have; its ``info`` holds the profile. Not changed.

    Returns:
        The same image where nothing is to be done.

    Raises:
        PictureError: The mode is 32-bit greyscale; the message names no file.
    """
    return _on_white(_as_srgb(_eight_bits(image)))


def _eight_bits(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        return _from_wide_grey(image)
    if image.mode in {"I", "F"}:
        raise PictureError(
            "32-bit greyscale has no known brightness range; save it with 8 or 16 bits"
        )
    # Pillow has no direct way on from premultiplied grey.
    return image.convert("LA") if image.mode == "La" else image


def _from_wide_grey(image: Image.Image) -> Image.Image:
    """Scale greyscale of up to 16 bits: Pillow's own conversion clips it at 255."""
    tags = getattr(image, "tag_v2", {})
    most = 2 ** tags.get(_BITS_PER_SAMPLE, (16,))[0] - 1
    stored = np.asarray(image)
    wide = stored.astype(np.uint32)
    wide *= 255
    wide += most // 2
    wide //= most
    grey = wide.astype(np.uint8)
    if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        grey = 255 - grey
    made = Image.fromarray(grey)
    made.info = {"icc_profile": image.info.get("icc_profile")}
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        made.putalpha(Image.fromarray(np.where(stored == transparent, 0, 255).astype(np.uint8)))
    return made


def _as_srgb(image: Image.Image) -> Image.Image:
    """Apply the embedded profile; the same image where there is none that says anything."""
    transform = _transform(image)
    if transform is None:
        return image
    made = _applied(transform, image.convert(transform.input_mode))
    if image.has_transparency_data:
        made.putalpha(image.convert("RGBA").getchannel("A"))
    return made


def _applied(transform: ImageCms.ImageCmsTransform, image: Image.Image) -> Image.Image:
    if image.mode != "L":
        return transform.apply(image)
    levels = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    image.putpalette(transform.apply(levels).tobytes())
    return image.convert("RGB")


def _transform(image: Image.Image) -> ImageCms.ImageCmsTransform | None:
    stored = image.info.get("icc_profile")
    if not isinstance(stored, bytes):
        return None
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(stored))
        mode = _MODES.get(profile.profile.xcolor_space.strip())
        if mode is None or not _has_channels(image, mode):
            return None
        flags = _FLAGS | (_EXACT if mode == "L" else ImageCms.Flags.NONE)
        made = ImageCms.ImageCmsTransform(profile, srgb, mode, "RGB", _INTENT, flags=flags)
    # What is wrong with a profile is none of the picture's fault.
    except (OSError, ValueError, ImageCms.PyCMSError):
        return None
    return None if _keeps_colours(made) else made


def _has_channels(image: Image.Image, mode: str) -> bool:
    """Whether a picture has the channels of a profile; grey is a colour like any other."""
    if "CMYK" in (mode, image.mode):
        return mode == image.mode
    return image.mode in _GREY_MODES if mode == "L" else image.mode != "LAB"


def _keeps_colours(transform: ImageCms.ImageCmsTransform) -> bool:
    """Whether a transform hardly changes a lattice of colours."""
    if transform.input_mode == "CMYK":
        return False
    levels = np.arange(0, 256, 15, dtype=np.uint8)
    if transform.input_mode == "L":
        lattice = Image.fromarray(levels[None])
    else:
        axes = np.meshgrid(levels, levels, levels)
        lattice = Image.fromarray(np.stack([axis.ravel() for axis in axes], axis=-1)[None])
    before = np.asarray(lattice.convert("RGB"), dtype=np.int16)
    after = np.asarray(transform.apply(lattice), dtype=np.int16)
    return bool(np.abs(after - before).max() <= _SAME_LEVELS)


def _on_white(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image if image.mode == "RGB" else image.convert("RGB")
    rgba = image.convert("RGBA")
    white = Image.new("RGBA", rgba.size, "white")
    return Image.alpha_composite(white, rgba).convert("RGB")
