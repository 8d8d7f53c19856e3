"""Tests of `cdcore.merging.checks`."""

from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest
import torch

from benchmarks.merging.case import make_statistics
from cdcore.merging.checks import check_merge, precision_notes
from cdcore.merging.closed_form import least_energy
from cdcore.merging.report import ConceptError, MergeReport
from tests.cdcore.merging_case import made_inputs

WIDTH = 16
STATISTICS = make_statistics(WIDTH)
ALL_INPUTS = made_inputs(3, (20, WIDTH), targets=3)


def report(
    method: str,
    constraint: float = 0.0,
    held_out: float | None = 0.1,
    exact: float | None = None,
    **figures: Any,
) -> MergeReport:
    errors = tuple(
        ConceptError(
            name=inputs.name,
            weight=1.0,
            phrases=inputs.phrases,
            constraint=constraint,
            held_out=held_out,
            drift_alone=None,
            exact=exact,
        )
        for inputs in ALL_INPUTS
    )
    return MergeReport(
        method=method,
        concepts=errors,
        captions=9,
        caption_condition=2.0,
        drift=0.1,
        renamed={},
        **figures,
    )


@pytest.mark.parametrize(
    "good",
    [
        report("constrained", amplification=3.0, held_out=0.9),
        report("constrained", amplification=1.0, held_out=None),
        report("ridge", constraint=1.4, held_out=0.97, penalty=0.1),
        report("sum", constraint=2.0, held_out=2.0),
    ],
)
def test_what_keeps_its_promise_is_not_refused(good: MergeReport) -> None:
    assert check_merge(good, ALL_INPUTS, STATISTICS) is None


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        (report("constrained", amplification=10.0), report("constrained", amplification=10.1)),
        (report("constrained", constraint=0.05), report("constrained", constraint=0.051)),
        (
            report("ridge", held_out=0.98, penalty=1.0),
            report("ridge", held_out=0.981, penalty=1.0),
        ),
        (
            report("ridge", held_out=None, penalty=1.0),
            report("ridge", held_out=float("nan"), penalty=1.0),
        ),
    ],
)
def test_a_merge_is_refused_above_its_bounds_and_not_at_them(
    good: MergeReport, bad: MergeReport
) -> None:
    assert check_merge(good, ALL_INPUTS, STATISTICS) is None
    assert check_merge(bad, ALL_INPUTS, STATISTICS) is not None


@pytest.mark.parametrize("cosine", [0.99, 0.999])
def test_the_bound_of_amplification_is_reached_at_a_cosine_of_0_995(cosine: float) -> None:
    """Of two whitened target rows of one length that want perpendicular values."""
    rows = torch.tensor([[1.0, 0.0], [cosine, (1 - cosine**2) ** 0.5]], dtype=torch.float64)
    amplification = (least_energy(rows.T, torch.eye(2, dtype=torch.float64)) / 2) ** 0.5
    refusal = check_merge(
        report("constrained", amplification=amplification), ALL_INPUTS, STATISTICS
    )
    assert (refusal is not None) == (cosine > 0.995)


@pytest.mark.parametrize("missed", [0, 1])
def test_a_concept_at_weight_nought_is_measured_against_itself(missed: int) -> None:
    good = report("constrained")
    errors = [replace(good.concepts[at], weight=1.0 - at) for at in range(2)]
    errors[missed] = replace(errors[missed], constraint=0.06)
    refusal = check_merge(replace(good, concepts=tuple(errors)), ALL_INPUTS[:2], STATISTICS)
    assert refusal is not None
    assert f"{errors[missed].name} by 6 % missed" in refusal
    nothing = replace(good, concepts=(replace(errors[1], constraint=0.0),))
    assert check_merge(nothing, ALL_INPUTS[:1], STATISTICS) is None


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (report("constrained", amplification=30.0), "ordinary captions 30 times as much"),
        (report("constrained", constraint=0.2), "concept0 by 20 % and concept1 by 20 %"),
        (report("constrained", constraint=float("nan")), "concept0 by nan %"),
    ],
)
def test_what_breaks_it_is_refused_with_reason_and_remedy(bad: MergeReport, reason: str) -> None:
    refusal = check_merge(bad, ALL_INPUTS, STATISTICS)
    assert refusal is not None
    assert reason in refusal
    assert "another token or class noun, or both jointly" in refusal


@pytest.mark.parametrize(
    ("held_out", "remedy"), [(1.3, "above 0.25"), (0.99, "below 0.25"), (1.0001, "below 0.25")]
)
def test_a_ridge_merge_that_keeps_nothing_is_refused_with_a_way_out(
    held_out: float, remedy: str
) -> None:
    refusal = check_merge(report("ridge", held_out=held_out, penalty=0.25), ALL_INPUTS, STATISTICS)
    assert refusal is not None
    assert f"concept0 by {100 * held_out:.0f} % and concept1" in refusal
    assert f"with a penalty {remedy}, or by method constrained" in refusal


def test_what_a_small_weight_asks_for_is_weighed_by_the_largest() -> None:
    strong = report("ridge", held_out=0.6, penalty=1.0)
    weak = replace(strong.concepts[1], weight=-0.1, held_out=5.0)
    mixed = replace(strong, concepts=(*strong.concepts[:1], weak))
    assert check_merge(mixed, ALL_INPUTS[:2], STATISTICS) is None
    alone = replace(strong, concepts=(weak,))
    assert check_merge(alone, ALL_INPUTS[:1], STATISTICS) is not None


@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize("size", [0.01, 1.0, 100.0])
def test_the_two_concepts_with_the_nearest_targets_are_named(
    order: tuple[int, ...], size: float
) -> None:
    one, far, other = made_inputs(3, (20, WIDTH), targets=2)
    near = replace(other, constraint=one.constraint)
    far = replace(far, constraint=replace(far.constraint, features=size * far.constraint.features))
    all_inputs = [(one, far, near)[at] for at in order]
    refusal = check_merge(report("constrained", constraint=0.2), all_inputs, STATISTICS)
    assert refusal is not None
    assert f"{one.name} (" in refusal
    assert f"{near.name} (" in refusal
    assert f"{far.name} (" not in refusal


def test_of_two_concepts_both_are_named() -> None:
    refusal = check_merge(report("constrained", constraint=0.2), ALL_INPUTS[:2], STATISTICS)
    assert refusal is not None
    assert all(f"{inputs.name} ({inputs.phrases[0]})" in refusal for inputs in ALL_INPUTS[:2])


def test_one_concept_alone_is_no_pair() -> None:
    refusal = check_merge(report("constrained", constraint=0.2), ALL_INPUTS[:1], STATISTICS)
    assert refusal is not None
    assert "use the concept itself" in refusal


def test_what_the_files_rounding_costs_is_noted_and_not_refused() -> None:
    for method, exact in (("constrained", None), ("constrained", 0.05), ("ridge", 0.28)):
        assert precision_notes(report(method, exact=exact, penalty=1.0), ALL_INPUTS) == []
    bad = report("constrained", exact=0.28)
    assert check_merge(bad, ALL_INPUTS, STATISTICS) is None
    (note,) = precision_notes(bad, ALL_INPUTS)
    assert "the merge misses concept0 by 28 % and concept1 by 28 %" in note


def test_a_file_with_features_of_bfloat16_is_named() -> None:
    first, *others = ALL_INPUTS
    rounded = replace(first.constraint, features=first.constraint.features.bfloat16().float())
    (note,) = precision_notes(report("sum"), [replace(first, constraint=rounded), *others])
    assert note.startswith("concept0 has features in bfloat16")
