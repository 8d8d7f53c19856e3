"""Pictures as files: PNG, JPEG or WebP, with how they were made inside."""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from cdcore.pictures.pixels import to_image
from cdcore.pictures.png import SETTINGS_KEY, settings_text

__all__ = ["MEDIA_TYPES", "PictureFile", "encode"]

MEDIA_TYPES = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}
"""The media type of each output format."""

_DESCRIPTION = 0x010E
"""EXIF's ImageDescription."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PictureFile:
    """How a picture is written.

    Attributes:
        kind: The file format.
        quality: The quality of "jpeg" and "webp", 0 to 100.
        size: (width, height) to enlarge a preview to, or None.
    """

    kind: Literal["png", "jpeg", "webp"] = "png"
    quality: int = 100
    size: tuple[int, int] | None = None


def encode(pixels: Tensor, settings: Mapping[str, Any], file: PictureFile) -> bytes:
    """Return the file of a picture.

    Args:
        pixels: The picture, (3, H, W) in [-1, 1].
        settings: How the picture was made: JSON in a PNG's text "parameters", as
            `rayjobs/sample.py` writes it, and in the EXIF description of the others.
        file: How the picture is written.
    """
    image = to_image(pixels)
    if file.size is not None and image.size != file.size:
        image = image.resize(file.size, Image.Resampling.BICUBIC)
    target = io.BytesIO()
    if file.kind == "png":
        text = PngInfo()
        text.add_itxt(SETTINGS_KEY, settings_text(settings))
        image.save(target, format="PNG", pnginfo=text)
        return target.getvalue()
    exif = Image.Exif()
    # Texts in EXIF are ASCII. A JPEG holds 64 KiB of it.
    exif[_DESCRIPTION] = json.dumps(dict(settings))[:60_000]
    image.save(target, format=file.kind.upper(), quality=max(1, file.quality), exif=exif)
    return target.getvalue()
