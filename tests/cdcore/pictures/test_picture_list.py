"""Tests of `cdcore.pictures.picture_list`."""

from pathlib import Path

import pytest

from cdcore.pictures.picture_list import line_numbers


@pytest.mark.parametrize(
    ("lines", "names", "numbers"),
    [
        (["b.jpg", "a.jpg"], ["a.jpg", "b.jpg"], [1, 0]),
        (["x/b.jpg", "/y/a.jpg", "c.jpg"], ["a.jpg"], [1]),
        (["A.JPG", "a.jpg"], ["a.jpg", "A.JPG"], [1, 0]),
        (["x\\A.JPG", "'b.png'"], ["a.jpg", "b.jpg"], [0, 1]),
    ],
)
def test_each_picture_has_the_line_that_names_it_best(
    lines: list[str], names: list[str], numbers: list[int]
) -> None:
    assert line_numbers(lines, [Path("here", name) for name in names]) == numbers


@pytest.mark.parametrize(
    ("lines", "names", "why"),
    [
        ([], ["a.jpg"], "it names a.jpg nowhere"),
        (["x/a.jpg", "y/a.jpg"], ["a.jpg"], "it names a.jpg twice or more"),
        (["a.webp"], ["a.jpg", "a.png"], "one line may be a.jpg or a.png"),
    ],
)
def test_what_is_not_clear_is_told(lines: list[str], names: list[str], why: str) -> None:
    with pytest.raises(LookupError, match=why):
        line_numbers(lines, list(map(Path, names)))
