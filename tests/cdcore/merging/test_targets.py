"""Tests of `cdcore.merging.targets`."""

from dataclasses import replace

import pytest
import torch

from benchmarks.merging.case import draw_features, make_statistics
from cdcore.concepts.merge_inputs import MergeInputs, Rows
from cdcore.merging.merge import merge
from cdcore.merging.parts import arrange
from cdcore.merging.targets import Targets
from cdcore.model.update import DenseUpdate
from tests.cdcore.merging_case import made_inputs

WIDTH = 24
SHAPE = (40, WIDTH)
STATISTICS = make_statistics(WIDTH)


def targets_of(all_inputs: list[MergeInputs], weights: list[float] | None = None) -> Targets:
    parts, _, _ = arrange(all_inputs, weights or [1.0] * len(all_inputs), None)
    return Targets.of(parts, STATISTICS)


def sharing_a_target(all_inputs: list[MergeInputs]) -> list[MergeInputs]:
    """Return concepts that want different values of one row of features."""
    shared = draw_features(1, WIDTH, 99)
    return [
        replace(
            inputs,
            constraint=Rows(
                features=torch.cat([inputs.constraint.features, shared]),
                values=torch.cat([inputs.constraint.values, inputs.constraint.values[:1]]),
            ),
        )
        for inputs in all_inputs
    ]


@pytest.mark.parametrize("weights", [[1.0, 1.0, 1.0], [0.5, -1.0, 2.0]])
def test_what_is_missed_and_changed_is_that_of_the_constrained_merge(weights: list[float]) -> None:
    all_inputs = sharing_a_target(made_inputs(3, SHAPE, targets=3))
    asked = targets_of(all_inputs, weights)
    report = merge(
        all_inputs, STATISTICS, weights, method="constrained", allow_ill_posed=True
    ).report
    for error, missed in zip(report.concepts, asked.missed(), strict=True):
        assert missed == pytest.approx(error.constraint, rel=1e-4)
        assert missed > 0.1
    assert [energy > 0 for energy in asked.alone] == [True] * 3


def test_targets_that_can_be_met_are_not_missed() -> None:
    assert targets_of(made_inputs(3, SHAPE, targets=3)).missed() == pytest.approx(
        [0.0] * 3, abs=1e-6
    )


def test_one_concept_changes_captions_as_much_as_itself() -> None:
    asked = targets_of(made_inputs(1, SHAPE))
    assert asked.amplification(asked.alone[0]) == pytest.approx(1.0)


def test_equal_rows_become_one_with_their_mean_value() -> None:
    asked = targets_of(sharing_a_target(made_inputs(2, SHAPE, targets=2)))
    targets, products, values = asked.distinct()
    assert targets.shape == (WIDTH, 5)
    torch.testing.assert_close(products.float(), values @ values.T)
    wanted = torch.stack([asked.values[2], asked.values[5]]).mean(dim=0)
    assert any(torch.allclose(row, wanted) for row in values)


def test_rows_that_are_all_different_are_left_as_they_are() -> None:
    asked = targets_of(made_inputs(2, SHAPE, targets=2))
    targets, products, values = asked.distinct()
    assert torch.equal(targets, asked.whitened)
    assert torch.equal(products, asked.products)
    assert torch.equal(values, asked.values)


@pytest.mark.parametrize("weight", [1e-3, 1.0, 1e3])
def test_amplification_is_a_ratio_whatever_the_weight(weight: float) -> None:
    asked = targets_of(made_inputs(2, SHAPE), [weight, weight])
    assert asked.amplification(4 * sum(asked.alone)) == pytest.approx(2.0)


def test_concepts_that_want_nothing_miss_nothing_and_change_nothing() -> None:
    asked = targets_of(made_inputs(2, SHAPE, updates=[DenseUpdate(torch.zeros(SHAPE))] * 2))
    assert asked.alone == [0.0, 0.0]
    assert asked.amplification(0.0) == 1.0
    assert asked.missed() == [0.0, 0.0]


def test_a_concept_that_wants_nothing_misses_what_another_puts_there() -> None:
    """Both ask for one row, so each gets the mean; without a unit of its own, it is a norm."""
    one, other = made_inputs(2, SHAPE, targets=1)
    shared, wanted = one.constraint.features, one.constraint.values
    nothing = Rows(features=shared, values=torch.zeros_like(wanted))
    asked = targets_of([one, replace(other, constraint=nothing)])
    assert sorted(asked.missed()) == pytest.approx(sorted([0.5, float(wanted.norm()) / 2]))
