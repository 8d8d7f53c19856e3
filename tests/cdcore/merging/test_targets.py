"""Tests of `cdcore.merging.targets`."""

from dataclasses import replace

import pytest
import torch

from benchmarks.merging.case import draw_features, make_statistics
from cdcore.concepts.merge_inputs import Card, Rows
from cdcore.merging.merge import merge
from cdcore.merging.parts import arrange
from cdcore.merging.targets import Targets
from tests.cdcore.merging_case import make_cards

WIDTH = 24
SHAPE = (40, WIDTH)
STATISTICS = make_statistics(WIDTH)


def targets_of(cards: list[Card], weights: list[float] | None = None) -> Targets:
    parts, _, _ = arrange(cards, weights or [1.0] * len(cards), None)
    return Targets.of(parts, STATISTICS)


def sharing_a_target(cards: list[Card]) -> list[Card]:
    """Return concepts that want different values of one row of features."""
    shared = draw_features(1, WIDTH, 99)
    return [
        replace(
            card,
            constraint=Rows(
                features=torch.cat([card.constraint.features, shared]),
                values=torch.cat([card.constraint.values, card.constraint.values[:1]]),
            ),
        )
        for card in cards
    ]


@pytest.mark.parametrize("weights", [[1.0, 1.0, 1.0], [0.5, -1.0, 2.0]])
def test_what_is_missed_and_changed_is_that_of_the_constrained_merge(weights: list[float]) -> None:
    cards = sharing_a_target(make_cards(3, SHAPE, targets=3))
    asked = targets_of(cards, weights)
    report = merge(cards, STATISTICS, weights, method="constrained", allow_ill_posed=True).report
    for error, missed in zip(report.concepts, asked.missed(), strict=True):
        assert missed == pytest.approx(error.constraint, rel=1e-4)
        assert missed > 0.1
    assert [energy > 0 for energy in asked.alone] == [True] * 3


def test_targets_that_can_be_met_are_not_missed() -> None:
    assert targets_of(make_cards(3, SHAPE, targets=3)).missed() == pytest.approx(
        [0.0] * 3, abs=1e-6
    )


def test_one_concept_changes_captions_as_much_as_itself() -> None:
    asked = targets_of(make_cards(1, SHAPE))
    assert asked.amplification(asked.alone[0]) == pytest.approx(1.0)


def test_equal_rows_become_one_with_their_mean_value() -> None:
    asked = targets_of(sharing_a_target(make_cards(2, SHAPE, targets=2)))
    targets, products, values = asked.distinct()
    assert targets.shape == (WIDTH, 5)
    torch.testing.assert_close(products.float(), values @ values.T)
    wanted = torch.stack([asked.values[2], asked.values[5]]).mean(dim=0)
    assert any(torch.allclose(row, wanted) for row in values)
