"""Tests of `cdcore.scoring.targets`."""

from pathlib import Path

import torch
from PIL import Image

from cdcore.model.base import Base
from cdcore.pictures.picture_folder import Picture
from cdcore.scoring.targets import picture_pixels


def test_a_picture_is_seen_whole_and_upright_at_the_base_s_size(tiny_base: Base) -> None:
    wide = Image.new("RGB", (96, 48), "red")
    wide.paste("blue", (0, 0, 48, 48))
    shown = picture_pixels(tiny_base, [Picture.from_image(wide, Path("0.png"))])
    side = tiny_base.profile.resolution
    assert shown.shape == (1, 3, side, side)
    assert shown.abs().max() <= 1
    left, right = shown[0, :, side // 2, side // 8], shown[0, :, side // 2, -side // 8]
    torch.testing.assert_close(left, torch.tensor([-1.0, -1.0, 1.0]), rtol=0, atol=0.02)
    torch.testing.assert_close(right, torch.tensor([1.0, -1.0, -1.0]), rtol=0, atol=0.02)


def test_pictures_stay_in_their_order_and_do_not_touch_each_other(tiny_base: Base) -> None:
    pictures = [
        Picture.from_image(Image.new("RGB", (40, 40), color), Path(f"{color}.png"))
        for color in ("red", "green", "blue")
    ]
    together = picture_pixels(tiny_base, pictures)
    alone = [picture_pixels(tiny_base, [picture])[0] for picture in pictures]
    assert torch.equal(together, torch.stack(alone))
