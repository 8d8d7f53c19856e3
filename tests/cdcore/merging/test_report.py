"""Tests of `cdcore.merging.report`."""

import json

import pytest
import torch

from benchmarks.merging.case import draw_features, make_statistics, values_of
from cdcore.concepts.merge_inputs import Rows
from cdcore.merging.report import ConceptError, MergeReport, drift, residual
from cdcore.model.update import DenseUpdate, FactoredUpdate
from tests.tiny import factors_of, random_update

WIDTH = 16
SHAPE = (30, WIDTH)
FEATURES = draw_features(5, WIDTH, 1)


@pytest.mark.parametrize("rank", [None, 3])
def test_the_residual_is_relative_to_what_is_wanted(rank: int | None) -> None:
    update = random_update(SHAPE, rank=rank)
    rows = values_of(update, FEATURES)
    assert residual(update, rows) < 1e-6
    assert residual(update.scaled(0.5), rows) == pytest.approx(0.5, abs=1e-5)
    assert residual(update.scaled(0.5), rows, 0.5) < 1e-6
    assert residual(update.scaled(-1.0), rows, 0.5) == pytest.approx(3.0, abs=1e-5)
    other = random_update(SHAPE, seed=1, rank=rank)
    expected = (other.apply(FEATURES) - rows.values).norm() / rows.values.norm()
    assert residual(other, rows) == pytest.approx(float(expected), rel=1e-4)


def test_forms_of_one_update_have_one_residual_and_one_drift() -> None:
    factored = random_update(SHAPE, rank=3)
    whole = DenseUpdate(factored.dense())
    rows = values_of(random_update(SHAPE, seed=1), FEATURES)
    statistics = make_statistics(WIDTH)
    assert residual(factored, rows) == pytest.approx(residual(whole, rows), rel=1e-5)
    assert drift(factored, statistics) == pytest.approx(drift(whole, statistics), rel=1e-5)


def test_an_update_of_each_matrix_is_measured_as_well() -> None:
    halves = [random_update((15, WIDTH), seed=seed, rank=2) for seed in (1, 2)]
    update = FactoredUpdate(tuple(pair for half in halves for pair in factors_of(half)))
    whole = DenseUpdate(update.dense())
    rows = values_of(random_update(SHAPE, seed=1), FEATURES)
    statistics = make_statistics(WIDTH)
    assert residual(update, rows) == pytest.approx(residual(whole, rows), rel=1e-5)
    assert drift(update, statistics) == pytest.approx(drift(whole, statistics), rel=1e-5)


def test_nothing_wanted_is_met_by_nothing_alone() -> None:
    nothing = Rows(features=FEATURES, values=torch.zeros(5, SHAPE[0]))
    assert residual(DenseUpdate(torch.zeros(SHAPE)), nothing) == 0
    assert residual(random_update(SHAPE), nothing) == 1
    something = values_of(random_update(SHAPE), FEATURES)
    assert residual(random_update(SHAPE), something, 0.0) == pytest.approx(1)


def test_the_drift_is_the_mean_change_of_held_out_captions() -> None:
    statistics = make_statistics(WIDTH)
    update = random_update(SHAPE)
    captions = draw_features(4 * WIDTH, WIDTH, 78)
    change = float(update.apply(captions).square().sum(dim=1).mean())
    assert drift(update, statistics) == pytest.approx((change / 100.0) ** 0.5, rel=1e-4)


def test_a_report_is_json() -> None:
    error = ConceptError(
        name="one",
        weight=0.5,
        phrases=("<one> cat",),
        constraint=0.0,
        held_out=None,
        drift_alone=0.1,
    )
    report = MergeReport(
        method="constrained",
        concepts=(error,),
        captions=3,
        caption_condition=2.0,
        drift=0.1,
        renamed={"one: <a>": "<b>"},
    )
    read = json.loads(json.dumps(report.as_json()))
    assert read["concepts"][0]["phrases"] == ["<one> cat"]
    assert read["renamed"] == {"one: <a>": "<b>"}
