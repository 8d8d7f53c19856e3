from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cdcore.pictures.augmentation import apply_variant
from cdcore.pictures.picture_folder import Picture
from cdcore.training.config import TrainingConfig
from cdcore.training.inputs_grid import inputs_grid
from cdcore.training.latent_rows import pool_variant
from tests.cdcore.training_case import CAT, config

BLUE = (0, 0, 255)
CELL_PX = 192


def pictures(count: int, size: tuple[int, int] = (90, 70)) -> list[Picture]:
    """Blue pictures with a corner of their own, which the crop to a square leaves out."""
    made = []
    for number in range(count):
        image = Image.new("RGB", size, BLUE)
        image.putpixel((0, 0), (number, 0, 0))
        made.append(Picture.from_image(image, Path(f"{number}.png")))
    return made


def made(
    shown: list[list[Picture]], settings: TrainingConfig, *, resolution: int = 64
) -> Image.Image:
    return inputs_grid(shown, settings, resolution=resolution, latent_factor=8)


def blue_cells(image: Image.Image) -> float:
    """How many cells the purely blue pixels would fill."""
    return float((np.asarray(image) == BLUE).all(axis=-1).sum()) / CELL_PX**2


def test_what_the_mask_leaves_out_is_tinted_and_all_else_is_as_it_is() -> None:
    shown, settings = pictures(3), config(variants=9)
    shares = []
    for picture in shown:
        for number in range(5):
            variant = pool_variant(picture, number, 64, settings.seed, augment=True, flip=True)
            shares.append(float(apply_variant(picture.image, variant, 64, 8)[1].float().mean()))
    assert min(shares) < 0.3, "the seed should give far variants"
    expected = len(shown) + sum(shares)
    # Enlarging blurs the borders of what counts.
    assert blue_cells(made([shown], settings)) == pytest.approx(expected, abs=0.3)


def test_without_augmentation_every_cell_counts() -> None:
    image = made([pictures(2)], config(variants=3, augment=False))
    assert blue_cells(image) == pytest.approx(2 * 4, abs=0.01)


@pytest.mark.parametrize(
    ("counts", "rows"), [((1,), 1), ((4,), 4), ((20,), 20), ((23,), 20), ((2, 23), 22)]
)
def test_there_is_a_row_for_each_picture_up_to_twenty_of_a_subject(
    counts: tuple[int, ...], rows: int
) -> None:
    subjects = (CAT, replace(CAT, token="<other>"))[: len(counts)]
    settings = config(subjects=subjects, variants=1, augment=False)
    image = made([pictures(count) for count in counts], settings)
    assert blue_cells(image) == pytest.approx(2 * rows, abs=0.1)


@pytest.mark.parametrize("changes", [{}, {"resolution": 512}])
def test_pictures_of_any_size_take_the_same_room(changes: dict[str, Any]) -> None:
    settings = config(variants=1, augment=False)
    wide = made([pictures(1, (300, 40))], settings, **changes)
    tall = made([pictures(1, (50, 900))], settings)
    assert wide.size == tall.size
