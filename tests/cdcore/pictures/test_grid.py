"""Tests of `cdcore.pictures.grid`."""

import numpy as np
import pytest
import torch
from PIL import Image

from cdcore.pictures.grid import grid


def _dark(image: Image.Image, box: tuple[float, float, float, float]) -> float:
    """Share of pixels in a box that are dark; paper has none, text and black pictures do."""
    return float((np.asarray(image.crop(box).convert("L")) < 128).mean())


def test_small_pictures_are_magnified_by_a_whole_factor_and_large_ones_are_not() -> None:
    small, large = grid([torch.zeros(1, 3, 64, 64)]), grid([torch.zeros(1, 3, 512, 512)])
    assert small.width - large.width == pytest.approx(192 - 512, abs=2 * (512 - 192) // 12)
    assert _dark(grid([-torch.ones(1, 3, 64, 64)]), (16, 16, 16 + 192, 16 + 192)) == 1


def test_a_grid_has_every_picture_in_its_cell_on_white_paper() -> None:
    black, white = Image.new("RGB", (192, 192)), Image.new("RGB", (192, 192), "white")
    image = grid([[black, white], [white, black]])
    assert image.size == (2 * 192 + 8 + 2 * 16,) * 2
    cells = [[(16 + x * 200, 16 + y * 200) for x in range(2)] for y in range(2)]
    for y in range(2):
        for x in range(2):
            left, top = cells[y][x]
            assert _dark(image, (left, top, left + 192, top + 192)) == (x == y)
    assert image.getpixel((0, 0)) == image.getpixel((16 + 196, 50)) == (255, 255, 255)


def test_headers_stand_above_and_labels_left_and_take_room_only_when_given() -> None:
    rows = [torch.ones(2, 3, 64, 64)] * 2
    bare = grid(rows)
    headed = grid(rows, columns=["a cat", "a dog"])
    labelled = grid(rows, labels=["base", "mycat"])
    assert headed.width == bare.width
    assert headed.height > bare.height
    assert labelled.height == bare.height
    assert labelled.width > bare.width
    assert _dark(bare, (0, 0, *bare.size)) == 0
    assert _dark(headed, (0, 0, headed.width, headed.height - bare.height + 16)) > 0
    assert _dark(labelled, (0, 0, labelled.width - bare.width + 16, labelled.height)) > 0


def test_a_long_header_wraps_inside_its_column_and_is_cut_after_some_lines() -> None:
    rows = [torch.ones(1, 3, 64, 64)]
    one_line = grid(rows, columns=["a cat"])
    wrapped = grid(rows, columns=["a <mycat> cat on the beach " * 2])
    endless = grid(rows, columns=["a <mycat> cat on the beach " * 50])
    unbroken = grid(rows, columns=["x" * 500])
    assert one_line.height < wrapped.height < endless.height
    assert unbroken.height == pytest.approx(endless.height, abs=5)
    assert one_line.width == wrapped.width == endless.width == unbroken.width
    # No text in the margins.
    for image in (wrapped, endless, unbroken):
        assert _dark(image, (0, 0, 12, image.height)) == 0
        assert _dark(image, (image.width - 12, 0, image.width, image.height)) == 0


def test_rows_may_differ_in_length() -> None:
    uneven = grid([torch.zeros(3, 3, 64, 64), torch.zeros(1, 3, 64, 64)])
    assert uneven.size == grid([torch.zeros(3, 3, 64, 64)] * 2).size


@pytest.mark.parametrize(
    ("rows", "columns", "labels"),
    [
        ([], [], []),
        ([[]], [], []),
        ([torch.zeros(1, 3, 8, 8)], ["a", "b"], []),
        ([torch.zeros(1, 3, 8, 8)], [], ["a", "b"]),
    ],
)
def test_a_grid_of_nothing_or_with_labels_of_nothing_is_refused(
    rows: list[torch.Tensor], columns: list[str], labels: list[str]
) -> None:
    with pytest.raises(ValueError, match="expected pictures"):
        grid(rows, columns=columns, labels=labels)
