"""Tests of `benchmarks.serving.load`."""

from collections import Counter

import numpy as np
import pytest

from benchmarks.serving.load import make_arrivals, percentiles
from benchmarks.serving.shelf import Shelf
from cdcore.model.base import Base
from cdcore.model.modifier_tokens import modifier_tokens


@pytest.fixture(scope="module")
def shelf(tiny_base: Base, tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    return Shelf(tiny_base, tmp_path_factory.mktemp("concepts"))


def test_orders_are_a_function_of_their_seed(shelf: Shelf) -> None:
    first = make_arrivals(shelf, 10, 30, rate=2.0, seed=1)
    assert make_arrivals(shelf, 10, 30, rate=2.0, seed=1) == first
    assert make_arrivals(shelf, 10, 30, rate=2.0, seed=2) != first


def test_arrivals_are_those_of_a_poisson_process(shelf: Shelf) -> None:
    arrivals = make_arrivals(shelf, 1, 4000, rate=5.0, seed=0)
    gaps = np.diff([arrival.arrives_s for arrival in arrivals])
    assert gaps.mean() == pytest.approx(0.2, rel=0.06)
    assert gaps.std() == pytest.approx(0.2, rel=0.1)
    at_once = make_arrivals(shelf, 1, 5, rate=None, seed=0)
    assert all(arrival.arrives_s == 0 for arrival in at_once)


def test_the_first_concept_is_asked_for_k_times_as_often_as_the_kth(shelf: Shelf) -> None:
    arrivals = make_arrivals(shelf, 100, 6000, rate=None, seed=0, most_merged=1)
    asked = Counter(arrival.mix.references[0].name for arrival in arrivals)
    assert asked["concept0"] / asked["concept3"] == pytest.approx(4, rel=0.2)
    assert len(asked) > 90


def test_prompts_name_the_tokens_of_one_to_three_concepts(shelf: Shelf) -> None:
    arrivals = make_arrivals(shelf, 1000, 300, rate=None, seed=0)
    counts = Counter(len(arrival.mix.parts) for arrival in arrivals)
    assert set(counts) == {1, 2, 3}
    assert min(counts.values()) > 70
    for arrival in arrivals:
        tokens = {shelf.token(reference) for reference in arrival.mix.references}
        assert set(modifier_tokens(arrival.prompt)) == tokens
    assert {
        len(arrival.mix.parts) for arrival in make_arrivals(shelf, 1, 9, rate=None, seed=0)
    } == {1}


def test_percentiles_are_by_name() -> None:
    assert percentiles([float(n) for n in range(101)]) == {"p50": 50, "p95": 95, "p99": 99}
