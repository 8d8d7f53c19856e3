"""Tests of `benchmarks.recipes.ours`."""

import multiprocessing
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks.recipes.case import TrainingCase
from benchmarks.recipes.ours import OurRecipe
from cdcore.model.update import Update
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


def _advance_driven(made: TrainingCase, file: Path, threads: int) -> None:
    torch.set_num_threads(threads)
    recipe = replace(made, engine="deepspeed").our_recipe(made.load_base())
    recipe.advance(2)
    torch.save(_weight(recipe), file)


@pytest.mark.slow
def test_the_engine_of_the_job_trains_the_same(judged_folder: Path, tmp_path: Path) -> None:
    made = case(tmp_path, judged_folder)
    plain = made.our_recipe(made.load_base())
    plain.advance(2)
    # In a process of its own, for DeepSpeed never lets go of its first process group.
    file = tmp_path / "driven.pt"
    process = multiprocessing.get_context("spawn").Process(
        target=_advance_driven, args=(made, file, torch.get_num_threads())
    )
    process.start()
    process.join(200)
    assert process.exitcode == 0
    # AdamW's first steps have one size even where a gradient is next to nothing: compare the whole.
    driven, alone = torch.load(file), _weight(plain)
    assert float((driven - alone).norm()) < 1e-2 * float(alone.norm())


def test_all_that_trains_is_the_update_and_a_row(judged_folder: Path, tmp_path: Path) -> None:
    made = case(tmp_path, judged_folder)
    base = made.load_base()
    shapes = {tuple(weight.shape) for weight in made.our_recipe(base).trained}
    assert shapes == {base.seam.layout.shape, (1, base.seam.layout.text_width)}
