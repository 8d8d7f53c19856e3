from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cdcore.errors import ConfigError, PictureError
from cdcore.pictures.picture_folder import Picture
from cdcore.training.latent_rows import regularization_rows, target_rows

FACTOR = 8
SIDE = 32


def pictures(count, side=SIDE):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    return [
        Picture.from_image(Image.fromarray(image), Path(f"{number}.png"))
        for number, image in enumerate(images)
    ]


class BlockMean:
    """Stands in for a VAE: the mean of every block of pixels; std is a constant."""

    def __init__(self):
        self.batches = []

    def __call__(self, pixels):
        self.batches.append(len(pixels))
        mean = torch.nn.functional.avg_pool2d(pixels, FACTOR)
        return mean, torch.full_like(mean, 0.25)


def targets(given, variants=5, seed=0, encode=None, **shown):
    return list(
        target_rows(
            given,
            variants=variants,
            resolution=SIDE,
            latent_factor=FACTOR,
            seed=seed,
            encode=encode or BlockMean(),
            **shown,
        )
    )


def same(one, other):
    return (
        one.prefix == other.prefix
        and torch.equal(one.mean, other.mean)
        and torch.equal(one.std, other.std)
        and torch.equal(one.valid_mask, other.valid_mask)
    )


def test_every_picture_gets_its_pool_in_order():
    rows = targets(pictures(3))
    assert [row.picture for row in rows] == [0] * 5 + [1] * 5 + [2] * 5
    for row in rows:
        assert row.mean.shape == row.std.shape == (3, 4, 4)
        assert row.valid_mask.shape == (4, 4)


def test_the_encoder_sees_at_most_sixteen_images_at_a_time():
    encode = BlockMean()
    targets(pictures(5), variants=7, encode=encode)
    assert encode.batches == [16, 16, 3]


def test_a_variant_depends_on_neither_the_pool_nor_the_other_pictures():
    first, second = pictures(2)
    both = targets([first, second], variants=8)
    alone = targets([second], variants=3)
    assert all(same(one, other) for one, other in zip(both[8:11], alone, strict=True))


def test_another_seed_gives_another_pool():
    one, other = targets(pictures(1), 8, seed=0), targets(pictures(1), 8, seed=1)
    assert not all(same(a, b) for a, b in zip(one, other, strict=True))


def test_a_pool_holds_all_kinds_and_masks_only_the_far_ones():
    rows = targets(pictures(1), 60)
    assert {row.prefix for row in rows} == {
        "",
        "a far away ",
        "very small ",
        "zoomed in ",
        "close up ",
    }
    for row in rows:
        is_far = row.prefix in {"a far away ", "very small "}
        assert row.valid_mask.any()
        assert bool(row.valid_mask.all()) != is_far


def test_without_augmentation_a_pool_is_the_picture_and_its_mirror_image():
    (picture,) = pictures(1)
    plain, mirrored = regularization_rows(
        [picture], resolution=SIDE, latent_factor=FACTOR, encode=BlockMean()
    )
    rows = targets([picture], 12, augment=False)
    assert all(same(row, plain) or same(row, mirrored) for row in rows)
    assert any(same(row, plain) for row in rows)
    assert any(same(row, mirrored) for row in rows)


def test_regularization_pictures_come_plain_and_mirrored_without_prefix_or_mask():
    rows = list(
        regularization_rows(pictures(3), resolution=SIDE, latent_factor=FACTOR, encode=BlockMean())
    )
    assert [row.picture for row in rows] == [0, 0, 1, 1, 2, 2]
    for plain, mirrored in zip(rows[::2], rows[1::2], strict=True):
        assert torch.allclose(plain.mean.flip(2), mirrored.mean, atol=1e-6)
        assert plain.prefix == mirrored.prefix == ""
        assert plain.valid_mask.all()
        assert mirrored.valid_mask.all()


def test_without_flips_nothing_is_mirrored_and_all_else_stays():
    given = pictures(3)
    flipped, plain = targets(given, 8), targets(given, 8, flip=False)
    assert any(not same(one, other) for one, other in zip(flipped, plain, strict=True))
    for one, other in zip(flipped, plain, strict=True):
        assert one.prefix == other.prefix
        assert torch.equal(one.valid_mask, other.valid_mask)
    rows = list(
        regularization_rows(
            given, resolution=SIDE, latent_factor=FACTOR, encode=BlockMean(), flip=False
        )
    )
    assert [row.picture for row in rows] == [0, 1, 2]
    whole = targets(given, 4, augment=False, flip=False)
    assert all(same(row, rows[row.picture]) for row in whole)


def test_a_resolution_that_does_not_fit_the_base_is_refused():
    with pytest.raises(ConfigError, match="multiple of 8"):
        list(
            regularization_rows(
                pictures(1), resolution=30, latent_factor=FACTOR, encode=BlockMean()
            )
        )


def test_a_picture_that_the_encoder_makes_no_numbers_of_is_named():
    def overflows(pixels):
        mean, std = BlockMean()(pixels)
        # The second picture's variants come after the first one's five.
        mean[5:] = torch.nan
        return mean, std

    with pytest.raises(PictureError, match=r"1\.png: the autoencoder makes no numbers"):
        targets(pictures(2), encode=overflows)
