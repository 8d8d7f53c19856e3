"""Tests of `cdcore.pocket.examination.showcase`."""

from typing import TYPE_CHECKING

import torch

from cdcore.pocket.examination.exam import draw_exam
from cdcore.pocket.examination.showcase import generate, reconstruct, showcase

if TYPE_CHECKING:
    from cdcore.model.base import Base


def test_a_picture_depends_on_its_caption_and_on_its_position(tiny_base: "Base") -> None:
    done: list[tuple[int, int]] = []
    pictures = generate(tiny_base, ["a cat", "a dog", "a cat"], lambda *steps: done.append(steps))
    assert pictures.shape == (3, 3, 64, 64)
    assert pictures.abs().max() <= 1
    steps = tiny_base.profile.sampling_steps
    assert done[-1] == (steps, steps)
    assert not torch.equal(pictures[0], pictures[2]), "they have their own seeds"
    again = generate(tiny_base, ["a cat", "a barn", "a cat"])
    assert torch.equal(again[[0, 2]], pictures[[0, 2]])
    assert not torch.equal(again[1], pictures[1])


def test_each_picture_is_reconstructed_by_itself(tiny_base: "Base") -> None:
    pixels = draw_exam(34).pixels
    ours = reconstruct(tiny_base, pixels)
    assert ours.shape == pixels.shape
    assert ours.abs().max() <= 1
    torch.testing.assert_close(reconstruct(tiny_base, pixels[33:]), ours[33:], rtol=0, atol=1e-3)


def test_the_grid_has_three_rows_of_eight_columns(tiny_base: "Base") -> None:
    image = showcase(tiny_base)
    assert image.width > 8 * 192
    assert image.height > 3 * 192
    assert image.width > 2 * image.height
