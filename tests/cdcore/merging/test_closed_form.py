"""Tests of `cdcore.merging.closed_form`."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from benchmarks.merging.case import draw_features, make_statistics
from benchmarks.merging.literal import literal_merge
from cdcore.merging.closed_form import (
    applied,
    gram,
    least_energy,
    least_missed,
    solve,
    whitened,
)

WIDTH, ROWS = 24, 40


def problem(targets: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return features C, values V, and the factor F of the captions, all float64."""
    features = draw_features(targets, WIDTH, seed).double()
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(targets, ROWS, generator=generator, dtype=torch.float64)
    return features, values, make_statistics(WIDTH).factor


def solved(features: Tensor, values: Tensor, factor: Tensor, penalty: float = 0.0) -> Tensor:
    """Return the update X as one matrix, float64."""
    solution = solve(whitened(features, factor), factor, penalty)
    return applied(solution.mix, values, torch.float64) @ solution.right


def bordered(features: Tensor, values: Tensor, moment: Tensor) -> Tensor:
    """Solve the Lagrange conditions, [[A, C^T], [C, 0]] [X^T; L] = [0; V], for X."""
    count, width = features.shape
    system = torch.zeros(width + count, width + count, dtype=torch.float64)
    system[:width, :width] = moment
    system[:width, width:] = features.T
    system[width:, :width] = features
    right = torch.cat([torch.zeros(width, values.shape[1], dtype=torch.float64), values])
    solution: Tensor = torch.linalg.solve(system, right)
    return solution[:width].T


def relative(one: Tensor, other: Tensor) -> float:
    return float((one - other).norm() / other.norm())


@pytest.mark.parametrize("targets", [1, 6, 14])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_constrained_update_solves_the_bordered_system(targets: int, seed: int) -> None:
    features, values, factor = problem(targets, seed)
    expected = bordered(features, values, factor @ factor.T)
    assert relative(solved(features, values, factor), expected) < 1e-9


@pytest.mark.parametrize("penalty", [1e-3, 0.1, 10.0])
def test_the_ridge_update_solves_the_normal_equations(penalty: float) -> None:
    features, values, factor = problem(6, 1)
    normal = features.T @ features + penalty * (factor @ factor.T)
    expected = torch.linalg.solve(normal, features.T @ values).T
    solution = solve(whitened(features, factor), factor, penalty)
    # Directions of which the filter passes less than 2 % are left out.
    tolerance = 1e-8 if solution.dropped == 0 else 0.02
    assert relative(solved(features, values, factor, penalty), expected) < tolerance


def test_a_small_penalty_gives_the_constrained_update() -> None:
    features, values, factor = problem(6, 1)
    strict = solved(features, values, factor)
    errors = [
        relative(solved(features, values, factor, penalty), strict)
        for penalty in (1e-2, 1e-4, 1e-6)
    ]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 1e-4


def test_the_published_algorithm_agrees_to_five_percent() -> None:
    captions = draw_features(4 * WIDTH, WIDTH, 77)
    generator = torch.Generator().manual_seed(0)
    base = [torch.randn(height, WIDTH, generator=generator) for height in (16, 16, 8)]
    targets = [draw_features(5, WIDTH, seed) for seed in (1, 2)]
    changes = [
        [0.1 * torch.randn(len(matrix), WIDTH, generator=generator) for matrix in base]
        for _ in targets
    ]
    tuned = [[matrix + change for matrix, change in zip(base, own, strict=True)] for own in changes]
    merged = literal_merge(base, tuned, targets, captions)
    literal = torch.cat(merged) - torch.cat(base)
    values = torch.cat(
        [own @ torch.cat(change).T for own, change in zip(targets, changes, strict=True)]
    )
    ours = solved(torch.cat(targets), values.double(), make_statistics(WIDTH).factor)
    assert relative(literal.double(), ours) < 0.05


@given(seed=st.integers(0, 1000), targets=st.integers(1, 16))
@settings(max_examples=30)
def test_constraints_are_met_with_the_least_change_on_captions(seed: int, targets: int) -> None:
    features, values, factor = problem(targets, seed)
    solution = solve(whitened(features, factor), factor)
    update = applied(solution.mix, values, torch.float64) @ solution.right
    assert relative(features @ update.T, values) < 1e-8
    # Stationary: no direction that keeps the constraints changes captions less.
    free = torch.linalg.svd(features, full_matrices=True).Vh[targets:]
    assert float((update @ factor @ factor.T @ free.T).norm()) < 1e-8 * float(update.norm())


@given(seed=st.integers(0, 1000), targets=st.integers(1, 30), penalty=st.sampled_from([0.0, 0.1]))
@settings(max_examples=30)
def test_the_right_factor_is_orthonormal_and_no_larger_than_the_targets(
    seed: int, targets: int, penalty: float
) -> None:
    features, values, factor = problem(targets, seed)
    solution = solve(whitened(features, factor), factor, penalty)
    rank = len(solution.kept)
    assert rank <= min(targets, WIDTH)
    assert rank + solution.dropped == min(targets, WIDTH)
    assert solution.mix.shape == (targets, rank)
    identity = torch.eye(rank, dtype=torch.float64)
    torch.testing.assert_close(solution.right @ solution.right.T, identity, rtol=0, atol=1e-12)
    # What the left factor alone weighs is what the whole update does.
    update = applied(solution.mix, values, torch.float64) @ solution.right
    energy = float((update @ factor).square().sum())
    assert float((values.T @ solution.filtered).square().sum()) == pytest.approx(energy)


def test_nearly_equal_rows_are_met_in_the_mean_and_not_magnified() -> None:
    features, values, factor = problem(4, 1)
    wobble = 1e-5 * torch.randn(4, WIDTH, generator=torch.Generator().manual_seed(9)).double()
    noise = 1e-3 * torch.randn(4, ROWS, generator=torch.Generator().manual_seed(8)).double()
    double = torch.cat([features, features + wobble]), torch.cat([values, values + noise])
    once = solved(features, values, factor)
    twice = solved(*double, factor)
    solution = solve(whitened(double[0], factor), factor)
    assert solution.dropped == 4
    assert relative(twice, once) < 2e-2
    # Taken literally, the difference of the rows would count as a thing to learn.
    literal = torch.linalg.lstsq(whitened(double[0], factor).T, double[1]).solution.T
    assert literal.norm() > 3 * (once @ factor).norm()


def of_singular_values(*singular: float) -> Tensor:
    """Return whitened targets (d, K) that have these singular values."""
    generator = torch.Generator().manual_seed(1)
    count = len(singular)
    left = torch.linalg.qr(torch.randn(WIDTH, count, generator=generator, dtype=torch.float64))[0]
    right = torch.linalg.qr(torch.randn(count, count, generator=generator, dtype=torch.float64))[0]
    made: Tensor = left @ torch.diag(torch.tensor(singular, dtype=torch.float64)) @ right
    return made


def test_what_rounding_to_half_precision_could_have_made_is_not_asked_for() -> None:
    """Directions of less than a thousandth of the largest, whatever its size."""
    identity = torch.eye(WIDTH, dtype=torch.float64)
    for scale in (1e-3, 1.0, 1e3):
        targets = scale * of_singular_values(1.0, 0.5, 1.05e-3, 0.95e-3, 1e-6)
        solution = solve(targets, identity)
        assert (len(solution.kept), solution.dropped) == (3, 2)
        assert solution.condition == pytest.approx(1 / 1.05e-3)


def test_a_ridge_leaves_out_directions_of_which_it_would_pass_under_two_percent() -> None:
    singular, penalty = (1.0, 0.095, 0.08), 0.4
    passed = [s**2 / (s**2 + penalty) for s in singular]
    assert passed[1] > 0.02 > passed[2]
    solution = solve(of_singular_values(*singular), torch.eye(WIDTH, dtype=torch.float64), penalty)
    assert (len(solution.kept), solution.dropped) == (2, 1)


def test_a_penalty_above_all_that_is_asked_for_leaves_the_strongest_direction() -> None:
    targets = of_singular_values(3.0, 2.0, 1.0)
    solution = solve(targets, torch.eye(WIDTH, dtype=torch.float64), 1e6)
    assert solution.kept.tolist() == pytest.approx([3.0])
    assert solution.condition == 1.0


def test_the_condition_is_of_the_largest_to_the_smallest_direction_in_use() -> None:
    identity = torch.eye(WIDTH, dtype=torch.float64)
    solution = solve(of_singular_values(12.0, 5.0, 3.0, 2.0), identity)
    assert solution.condition == pytest.approx(6.0)


def test_features_in_single_precision_are_whitened_in_double() -> None:
    features, _, factor = problem(6, 1)
    single = whitened(features.float(), factor)
    assert single.dtype == torch.float64
    torch.testing.assert_close(factor @ single, features.float().double().T)


@pytest.mark.parametrize("seed", range(5))
def test_what_is_missed_is_what_the_update_leaves_of_each_target(seed: int) -> None:
    """Three of seven rows are asked for twice, with values that do not agree."""
    features, values, factor = problem(7, seed)
    features = torch.cat([features, features[:3]])
    values = torch.cat([values, values.roll(1, dims=0)[:3]])
    left = values - features @ solved(features, values, factor).T
    missed = least_missed(whitened(features, factor), gram(values))
    torch.testing.assert_close(missed, left.square().sum(dim=1), rtol=1e-6, atol=1e-8)
    assert missed.min() >= 0
    assert (missed > 0.1).tolist() == [True] * 3 + [False] * 4 + [True] * 3


def test_energy_is_what_the_update_changes_on_captions() -> None:
    features, values, factor = problem(5, 4)
    update = solved(features, values, factor)
    expected = float((update @ factor).square().sum())
    assert least_energy(whitened(features, factor), gram(values)) == pytest.approx(expected)


def test_products_over_all_rows_of_the_stack_are_exact_in_blocks() -> None:
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(3, 40_000, generator=generator)
    mix = torch.randn(3, 2, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(applied(mix, values, torch.float64), values.double().T @ mix)
    assert applied(mix, values).dtype == torch.float32
    torch.testing.assert_close(gram(values), values.double() @ values.double().T)
