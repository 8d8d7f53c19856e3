"""Tests of `cdcore.pictures.pixels`."""

import torch

from cdcore.pictures.pixels import to_image


def test_pixels_cover_the_whole_range_of_an_image_and_are_clipped_to_it() -> None:
    pixels = torch.tensor([-1.0, 0.0, 1.0, 7.0]).reshape(1, 2, 2).expand(3, 2, 2)
    image = to_image(pixels)
    assert image.mode == "RGB"
    assert list(image.getchannel(0).tobytes()) == [0, 128, 255, 255]


def test_to_image_keeps_rows_and_columns_and_reads_half_precision() -> None:
    pixels = torch.full((3, 4, 6), -1.0, dtype=torch.bfloat16)
    pixels[0, 1, 5] = 1
    image = to_image(pixels)
    assert image.size == (6, 4)
    assert image.getpixel((5, 1)) == (255, 0, 0)
