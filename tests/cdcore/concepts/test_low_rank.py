"""Tests of `cdcore.concepts.low_rank`."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from cdcore.concepts.low_rank import BYTES_PER_VALUE, choose_ranks, compress
from cdcore.concepts.rank_rule import Rule, Scope
from cdcore.errors import ConfigError, UpdateShapeError
from cdcore.model.kv_layout import KVLayout
from cdcore.model.update import DenseUpdate, FactoredUpdate, Update
from tests.tiny import random_update

WIDTHS = (5, 5, 16, 16)


LAYOUT = KVLayout(names=("a", "b", "c", "d"), widths=WIDTHS, text_width=12)


SHAPE = LAYOUT.shape


FORMS = [
    pytest.param({}, id="dense"),
    pytest.param({"rank": 3}, id="factored"),
    pytest.param({"rank": 2, "widths": WIDTHS}, id="blocks"),
]


HALF = 2e-3
"""Relative error of half-precision factors."""


def matrices(update: Update) -> tuple[Tensor, ...]:
    made: tuple[Tensor, ...] = update.dense().double().split(WIDTHS)
    return made


def best_error(parts: Any, ranks: Any) -> float:
    """The error of the nearest matrices, from a plain SVD."""
    values = [torch.linalg.svdvals(part) for part in parts]
    lost = sum(float(own[rank:].square().sum()) for own, rank in zip(values, ranks, strict=True))
    whole = sum(float(own.square().sum()) for own in values)
    return math.sqrt(lost / whole)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("rank", [1, 2, 4])
def test_no_factors_of_that_rank_are_nearer(form: dict[str, Any], rank: int) -> None:
    update = random_update(SHAPE, **form)
    each = compress(update, LAYOUT, Rule(name="rank", value=rank))
    whole = compress(update, LAYOUT, Rule(name="rank", value=rank), scope="stack")
    parts = matrices(update)
    assert each.error == pytest.approx(best_error(parts, [rank] * 4), abs=HALF)
    assert whole.error == pytest.approx(best_error([torch.cat(parts)], [rank]), abs=HALF)


@pytest.mark.parametrize("scope", ["matrix", "stack"])
@pytest.mark.parametrize("form", FORMS)
def test_all_of_the_energy_is_the_update_itself(form: dict[str, Any], scope: Scope) -> None:
    update = random_update(SHAPE, **form)
    made = compress(update, LAYOUT, Rule(name="energy", value=1), scope=scope)
    torch.testing.assert_close(made.update.dense(), update.dense(), rtol=0, atol=4e-3)
    assert made.error < HALF
    assert isinstance(made.update, FactoredUpdate)


def test_an_update_of_low_rank_is_found_to_be_of_that_rank() -> None:
    update = random_update(SHAPE, rank=3)
    for rule in (Rule(name="energy", value=1), Rule(name="rank", value=9)):
        whole = compress(DenseUpdate(update.dense()), LAYOUT, rule, scope="stack")
        assert {line.rank for line in whole.matrices} == {3}
        each = compress(DenseUpdate(update.dense()), LAYOUT, rule)
        assert {line.rank for line in each.matrices} == {3}


def test_the_errors_are_those_of_what_is_stored() -> None:
    update = random_update(SHAPE)
    made = compress(update, LAYOUT, Rule(name="energy", value=0.7))
    pairs = zip(matrices(update), matrices(made.update), made.matrices, strict=True)
    assert [line.name for line in made.matrices] == list(LAYOUT.names)
    for before, after, line in pairs:
        assert line.error == pytest.approx(float((before - after).norm() / before.norm()))
    distance = update.dense().double() - made.update.dense()
    assert made.error == pytest.approx(float(distance.norm() / update.dense().double().norm()))
    stored = sum(part.numel() * part.element_size() for part in made.update.tensors().values())
    assert made.size == stored


@pytest.mark.parametrize("energy", [0.5, 0.9, 0.99])
def test_each_matrix_keeps_its_share_of_the_energy_and_no_component_more(energy: float) -> None:
    update = random_update(SHAPE)
    made = compress(update, LAYOUT, Rule(name="energy", value=energy))
    assert isinstance(made.update, FactoredUpdate)
    for part, (left, _), line in zip(
        matrices(update), made.update.pairs, made.matrices, strict=True
    ):
        squares = torch.linalg.svdvals(part).square()
        share = squares.cumsum(0) / squares.sum()
        assert left.shape[1] == line.rank
        assert share[line.rank - 1] >= energy
        assert line.rank == 1 or share[line.rank - 2] < energy
        assert line.error**2 <= 1 - energy + HALF


@pytest.mark.parametrize(
    ("values", "mass", "rank"),
    [
        ((3.0, 2.0, 3.0, 2.0), 0.6, 2),
        ((6.0, 3.0, 1.0), 0.6, 1),
        ((4.0, 3.0, 3.0), 0.6, 1),
        ((7.0, 2.0, 1.0), 0.6, 1),
        ((1.0,) * 10, 0.6, 6),
        ((1.0, 1.0), 1.0, 2),
        ((0.0,), 0.6, 1),
    ],
)
def test_mass_stops_before_the_crossing_component_but_never_at_none(
    values: tuple[float, ...], mass: float, rank: int
) -> None:
    rule = Rule(name="mass", value=mass)
    assert choose_ranks([torch.tensor(values, dtype=torch.float64)], [1], rule) == [rank]


@pytest.mark.parametrize("scope", ["matrix", "stack"])
@pytest.mark.parametrize("budget", [270, 400, 700])
def test_a_size_is_used_up_and_never_passed(budget: int, scope: Scope) -> None:
    update = random_update(SHAPE)
    made = compress(update, LAYOUT, Rule(name="size", value=budget), scope=scope)
    largest = BYTES_PER_VALUE * (sum(SHAPE) if scope == "stack" else 16 + 12)
    assert budget - largest < made.size <= budget


def test_at_equal_size_unequal_ranks_lose_less() -> None:
    strong, weak = torch.tensor([9.0, 8.0, 7.0]), torch.tensor([0.3, 0.2, 0.1])
    ranks = choose_ranks([weak, strong], [10, 10], Rule(name="size", value=40))
    assert ranks == [1, 3]
    # A component that costs twice as much must bring twice as much.
    pair = [torch.tensor([5.0, 2.0]), torch.tensor([5.0, 2.5])]
    assert choose_ranks(pair, [10, 20], Rule(name="size", value=40)) == [2, 1]
    assert choose_ranks(pair, [10, 20], Rule(name="size", value=60)) == [2, 2]


def test_no_size_allows_rank_none() -> None:
    update = random_update(SHAPE)
    least = BYTES_PER_VALUE * sum(width + 12 for width in WIDTHS)
    made = compress(update, LAYOUT, Rule(name="size", value=least))
    assert {line.rank for line in made.matrices} == {1}
    with pytest.raises(ConfigError, match="rank 1 everywhere takes"):
        compress(update, LAYOUT, Rule(name="size", value=least - 1))


@pytest.mark.parametrize("scope", ["matrix", "stack"])
def test_matrices_of_nothing_stay_nothing(scope: Scope) -> None:
    weight = random_update(SHAPE).dense()
    weight[: WIDTHS[0]] = 0
    for update in (DenseUpdate(weight), DenseUpdate(torch.zeros(SHAPE))):
        made = compress(update, LAYOUT, Rule(name="energy", value=0.9), scope=scope)
        assert made.update.dense().isfinite().all()
        assert made.matrices[0].error == 0
        assert not made.update.dense()[: WIDTHS[0]].any()


def test_factors_hold_what_half_precision_alone_would_not() -> None:
    update = random_update(SHAPE, rank=2).scaled(1e-5)
    made = compress(update, LAYOUT, Rule(name="rank", value=2), scope="stack")
    assert made.error < 10 * HALF
    plain = update.dense().half().double()
    rounding = float((plain - update.dense()).norm() / update.dense().norm())
    assert made.error < rounding


def test_an_update_of_another_base_is_refused() -> None:
    with pytest.raises(UpdateShapeError):
        compress(random_update((4, 12)), LAYOUT, Rule(name="rank", value=1))
