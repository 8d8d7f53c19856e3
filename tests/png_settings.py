"""What a saved picture says of itself."""

import json
from pathlib import Path
from typing import Any

from PIL import Image

from cdcore.pictures.png import SETTINGS_KEY


def png_settings(path: Path) -> dict[str, Any]:
    """Return the settings that a picture file carries."""
    with Image.open(path) as image:
        settings: dict[str, Any] = json.loads(image.info[SETTINGS_KEY])
    return settings
