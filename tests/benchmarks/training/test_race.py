"""Tests of `benchmarks.training.race`."""

from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.training.race import Heat, Point, Scorer, best_rate, lap, median_share
from cdcore.pocket.networks.judge import Judge
from tests.benchmarks.case import case, noise


def point(steps: int, seconds: float, image: float, text: float = 0.3) -> Point:
    return Point(
        steps=steps,
        seconds=seconds,
        image_alignment=image,
        text_alignment=text,
        prior_drift=0.1,
    )


def heat(**changes: Any) -> Heat:
    settings: dict[str, Any] = {
        "seed": 0,
        "preparation": 2.0,
        "ours": [point(5, 1, 0.5), point(10, 2, 0.7), point(15, 3, 0.6), point(20, 4, 0.8)],
        "stock": point(20, 10, 0.7),
    }
    return Heat(**settings | changes)


def test_the_finish_is_the_first_point_as_good_as_the_other_s_end() -> None:
    finish = heat().finish
    assert finish is not None
    assert finish.steps == 10
    assert heat().share(with_preparation=False) == pytest.approx(0.2)
    assert heat().share(with_preparation=True) == pytest.approx(0.4)


def test_a_finish_that_is_never_reached_is_not_made_up() -> None:
    lost = heat(stock=point(20, 10, 0.9))
    assert lost.finish is None
    assert lost.share(with_preparation=False) is None
    assert median_share([heat(), lost, heat()], with_preparation=False) is None
    assert median_share([heat(), heat(preparation=0.0)], with_preparation=True) == pytest.approx(
        0.3
    )


def test_the_best_rate_has_learned_the_pictures_and_kept_the_words() -> None:
    ends = {
        1e-3: point(9, 1, 0.5, 0.30),
        2e-3: point(9, 1, 0.7, 0.28),
        9e-3: point(9, 1, 0.8, 0.05),
    }
    rate, points = best_rate(list(ends), ends.__getitem__)
    assert rate == 2e-3
    assert points == list(ends.values())


def test_a_recipe_is_scored_on_its_way_off_the_clock(judged_folder: Path, tmp_path: Path) -> None:
    made = case(tmp_path, judged_folder, learning_rate=1e-2)
    base = made.load_base()
    scorer = Scorer(base, Judge.load(judged_folder / "judge"), noise(3, 3, 64, 64), [0], "cat")
    points = lap(made.our_recipe(base), scorer, torch.device("cpu"), [1, 2, 4])
    assert [p.steps for p in points] == [1, 2, 4]
    assert sorted({p.seconds for p in points}) == [p.seconds for p in points]
    assert len({p.image_alignment for p in points}) == 3
    assert all(-1 <= p.text_alignment <= 1 for p in points)
    assert 0 < points[0].prior_drift < points[-1].prior_drift
    recipe = made.our_recipe(base)
    untouched = scorer.score(recipe.concept(), 0, 0.0)
    # Its token is the class noun's, and its update nothing.
    assert untouched.prior_drift == pytest.approx(0, abs=1e-5)
    recipe.advance(4)
    again = scorer.score(recipe.concept(), 4, 0.0)
    assert again.image_alignment == points[-1].image_alignment
