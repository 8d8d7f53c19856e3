"""PNG files that know how they were made."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from cdcore.files import replacing
from cdcore.pictures.pixels import to_image

__all__ = ["SETTINGS_KEY", "save_picture", "settings_text"]

SETTINGS_KEY = "parameters"
"""Name of the PNG text that holds a picture's settings as JSON."""


def settings_text(settings: Mapping[str, Any]) -> str:
    """Return settings as JSON in letters that people read; bytes that are no text are escaped."""
    text = json.dumps(dict(settings), ensure_ascii=False)
    return text.encode(errors="backslashreplace").decode()


def save_picture(path: Path, picture: Tensor | Image.Image, settings: Mapping[str, Any]) -> None:
    """Write a PNG that carries its settings, in one durable step.

    Args:
        path: Ends in ``.png``.
        picture: Pixels (3, S, S) in [-1, 1], or an image.
        settings: How the picture was made; written as JSON under `SETTINGS_KEY`.

    Raises:
        OSError: The file cannot be written.
    """
    text = PngInfo()
    text.add_itxt(SETTINGS_KEY, settings_text(settings))
    image = to_image(picture) if isinstance(picture, Tensor) else picture
    with replacing(path) as temporary:
        image.save(temporary, format="PNG", pnginfo=text)
