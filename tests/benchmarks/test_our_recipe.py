"""Tests of `benchmarks.our_recipe`."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import distributed as dist

from benchmarks.our_recipe import EngineName, OurRecipe
from cdcore.update import Update
from tests.benchmarks.case import case


def _weight(recipe: OurRecipe) -> torch.Tensor:
    update: Update = recipe.concept().update
    return update.dense()


def test_training_in_pieces_is_training_at_once(judged_folder: Path, tmp_path: Path) -> None:
    made = case(tmp_path, judged_folder)
    base = made.load_base()
    pieces, whole = made.our_recipe(base), made.our_recipe(base)
    for steps in (1, 2, 1):
        pieces.advance(steps)
    whole.advance(4)
    assert torch.equal(_weight(pieces), _weight(whole))
    assert _weight(whole).abs().max() > 0


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["deepspeed"])
def test_the_engine_of_the_job_trains_the_same(
    judged_folder: Path, tmp_path: Path, engine: EngineName
) -> None:
    made = case(tmp_path, judged_folder)
    base = made.load_base()
    plain, driven = made.our_recipe(base), replace(made, engine=engine).our_recipe(base)
    try:
        for recipe in (plain, driven):
            recipe.advance(2)
        torch.testing.assert_close(_weight(driven), _weight(plain), rtol=1e-4, atol=1e-6)
    finally:
        dist.destroy_process_group()


def test_all_that_trains_is_the_update_and_a_row(judged_folder: Path, tmp_path: Path) -> None:
    made = case(tmp_path, judged_folder)
    base = made.load_base()
    shapes = {tuple(weight.shape) for weight in made.our_recipe(base).trained}
    assert shapes == {base.seam.layout.shape, (1, base.seam.layout.text_width)}
