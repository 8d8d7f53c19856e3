from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cdcore.sampling.request import Request
from rayjobs.local.sample_grid import Sheet, sheets
from tests.png_settings import png_settings

FIRST = Request(prompt="", seed=5, steps=2, guidance_scale=1.0)


def _save(folder: Path, sheet: Sheet) -> tuple[Path, tuple[Path, ...]]:
    own = {"a cat": {"unread": {"prompt": "t"}}}
    pixels = torch.zeros(len(sheet.requests), 3, 8, 8)
    return sheet.save(pixels, folder, "mycat", {"base": "tiny"}, own)


@given(st.lists(st.text(max_size=3), min_size=1, max_size=40), st.integers(1, 70))
def test_every_prompt_gets_every_seed_once_and_in_order(prompts: list[str], count: int) -> None:
    dealt = [(r.prompt, r.seed) for sheet in sheets(prompts, count, FIRST) for r in sheet.requests]
    assert dealt == [(prompt, 5 + number) for prompt in prompts for number in range(count)]


@given(st.integers(1, 40), st.integers(1, 70))
def test_no_sheet_is_empty_or_larger_than_can_be_sampled_at_once(prompts: int, count: int) -> None:
    for sheet in sheets(["a cat"] * prompts, count, FIRST):
        assert 1 <= len(sheet.requests) <= 32
        assert max(map(len, sheet.rows)) <= 8
        assert len(sheet.labels) == len(sheet.rows)


def test_columns_are_headed_by_their_seed_when_all_rows_share_it() -> None:
    (few,) = sheets(["a cat", "a dog"], 3, FIRST)
    assert few.headers == ("seed 5", "seed 6", "seed 7")
    assert few.labels == ("a cat", "a dog")
    (many,) = sheets(["a cat"], 10, FIRST)
    assert many.headers == ()
    assert many.labels == ("a cat\nseeds 5 to 12", "a cat\nseeds 13 to 14")


def test_the_files_carry_their_own_settings_and_the_grid_all(tmp_path: Path) -> None:
    (sheet,) = sheets(["a cat", "a dog"], 2, FIRST)
    grid, singles = _save(tmp_path, sheet)
    assert [path.name for path in singles] == [f"mycat-000{number}.png" for number in range(1, 5)]
    assert png_settings(singles[3]) == {
        "prompt": "a dog",
        "negative_prompt": "",
        "seed": 6,
        "steps": 2,
        "guidance_scale": 1.0,
        "sampler": "dpm++",
        "base": "tiny",
    }
    pictures = png_settings(grid)["pictures"]
    assert isinstance(pictures, list)
    assert [picture["file"] for picture in pictures] == [path.name for path in singles]
    for path, picture in zip(singles, pictures, strict=True):
        is_cat = picture["prompt"] == "a cat"
        assert ("unread" in picture) is ("unread" in png_settings(path)) is is_cat


@pytest.mark.parametrize("taken", ["mycat-0007.png", "mycat-12345.png"])
def test_numbers_go_on_behind_what_is_there(taken: str, tmp_path: Path) -> None:
    for name in (taken, "mycat-old.png", "notmycat-0900.png", "mycat-0800.jpg"):
        (tmp_path / name).write_text("mine")
    (sheet,) = sheets(["a cat"], 2, FIRST)
    singles = _save(tmp_path, sheet)[1] + _save(tmp_path, sheet)[1]
    first = int(taken[6:-4]) + 1
    assert [int(path.stem[6:]) for path in singles] == list(range(first, first + 4))
    assert (tmp_path / taken).read_text() == "mine"
    assert sorted(path.name for path in tmp_path.glob("grid-*")) == [
        *("grid-0001.png", "grid-0002.png")
    ]
