"""Tests of `cdcore.pictures.png`."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from cdcore.pictures.pixels import to_image
from cdcore.pictures.png import SETTINGS_KEY, save_picture


def test_a_saved_picture_carries_its_settings_and_its_pixels(tmp_path: Path) -> None:
    settings = {"prompt": 'a "<mycat>" cat, größer 猫', "seed": 3, "guidance_scale": 4.5}
    pixels = torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    save_picture(tmp_path / "new" / "one.png", pixels, settings)
    with Image.open(tmp_path / "new" / "one.png") as image:
        assert json.loads(image.info[SETTINGS_KEY]) == settings
        assert image.tobytes() == to_image(pixels).tobytes()


def test_a_picture_that_cannot_be_saved_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        save_picture(tmp_path / "one.png", torch.zeros(3, 8, 8), {"bad": object()})
    with pytest.raises(OSError, match="cannot write mode"):
        save_picture(tmp_path / "one.png", Image.new("HSV", (8, 8)), {})
    assert list(tmp_path.iterdir()) == []
