"""Tests of `benchmarks.recipes.case`."""

import pickle
from pathlib import Path

from benchmarks.common.random_bases import random_base
from benchmarks.recipes.case import random_data
from tests.benchmarks.case import case


def _files(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()}


def test_every_recipe_has_the_same_pictures_of_the_class(
    judged_folder: Path, tmp_path: Path
) -> None:
    made = case(tmp_path, judged_folder)
    base = made.load_base()
    digests = [picture.digest for picture in made.regularization(base)]
    assert len(digests) == made.config.regularization_images
    other = made.with_settings(seed=1)
    assert [picture.digest for picture in other.regularization(base)] == digests


def test_preparation_is_timed_anew_and_leaves_nothing(judged_folder: Path, tmp_path: Path) -> None:
    made = case(tmp_path, judged_folder)
    base = made.load_base()
    first = made.preparation(base)
    pictures = _files(made.cache)
    assert {Path(name).suffix for name in pictures} == {".png"}
    assert made.preparation(base) > 0 < first
    assert _files(made.cache) == pictures
    made.our_recipe(base)
    assert ".arrow" in {Path(name).suffix for name in _files(made.cache)}


def test_a_case_can_be_sent_to_another_process(judged_folder: Path, tmp_path: Path) -> None:
    made = case(tmp_path, judged_folder)
    read = pickle.loads(pickle.dumps(made))
    assert read.config == made.config
    assert [p.digest for p in read.pictures] == [p.digest for p in made.pictures]


def test_random_data_give_every_row_its_own_prompt(tmp_path: Path) -> None:
    base = random_base("tiny", device="cpu")
    data = random_data(base, tmp_path, rows=5)
    assert len(set(data.target.prefixes)) == len(data.target) == 5
    assert data.target.shape == base.latent_shape
