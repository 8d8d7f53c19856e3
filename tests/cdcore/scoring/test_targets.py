"""Tests of `cdcore.scoring.targets`."""

from pathlib import Path

import torch
from PIL import Image

from cdcore.model.base import Base
from cdcore.pictures.picture_folder import Picture
from cdcore.pictures.pixels import to_tensor
from cdcore.scoring.targets import picture_pixels


def test_pictures_of_any_size_become_the_whole_upright_square_of_the_base(
    tiny_base: Base,
) -> None:
    sizes = [(64, 64), (200, 100), (70, 90)]
    images = [Image.new("RGB", size, (10 * number, 20, 30)) for number, size in enumerate(sizes)]
    pictures = [Picture.from_image(image, Path("x.png")) for image in images]
    pixels = picture_pixels(tiny_base, pictures)
    assert pixels.shape == (3, 3, 64, 64)
    for shown, image in zip(pixels, images, strict=True):
        assert torch.allclose(shown, to_tensor(image)[:, :1, :1].expand_as(shown), atol=1e-2)


def test_a_picture_of_the_base_s_own_size_stays_as_it_is(tiny_base: Base) -> None:
    generator = torch.Generator().manual_seed(0)
    colours = torch.randint(256, (64, 64, 3), generator=generator, dtype=torch.uint8)
    image = Image.fromarray(colours.numpy())
    (shown,) = picture_pixels(tiny_base, [Picture.from_image(image, Path("x.png"))])
    assert torch.equal(shown, to_tensor(image))
