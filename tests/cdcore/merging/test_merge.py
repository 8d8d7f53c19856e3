"""Tests of `cdcore.merging.merge`."""

from dataclasses import asdict, replace
from itertools import permutations
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from benchmarks.merging.case import draw_features, make_statistics, values_of
from benchmarks.merging.literal import literal_merge
from cdcore.concepts.merge_inputs import MergeInputs, Rows
from cdcore.concepts.subject import Subject
from cdcore.errors import BaseMismatchError, ConfigError, MergeError
from cdcore.merging.caption_statistics import CaptionStatistics
from cdcore.merging.merge import Merge, merge
from cdcore.merging.settings import MergeMethod
from cdcore.model.update import DenseUpdate, FactoredUpdate
from tests.cdcore.merging_case import made_inputs
from tests.tiny import factors_of, random_update

WIDTH = 32
SHAPE = (48, WIDTH)
METHODS: tuple[MergeMethod, ...] = ("constrained", "ridge")

STATISTICS = make_statistics(WIDTH)


def merged(
    all_inputs: list[MergeInputs],
    weights: list[float] | None = None,
    *,
    method: MergeMethod = "constrained",
    **settings: object,
) -> Merge:
    return merge(all_inputs, STATISTICS, weights, method=method, **settings)  # type: ignore[arg-type]


def dense(result: Merge) -> Tensor:
    return result.concept.update.dense()


def relative(one: Tensor, other: Tensor) -> float:
    return float((one - other).norm() / other.norm())


def renamed(all_inputs: list[MergeInputs], token: str) -> list[MergeInputs]:
    """Let the first subject of each have one token."""
    return [
        replace(
            inputs,
            subjects=(replace(inputs.subjects[0], token=token),),
            tokens={token: next(iter(inputs.tokens.values()))},
        )
        for inputs in all_inputs
    ]


@pytest.mark.parametrize("method", METHODS)
@given(seed=st.integers(0, 100), count=st.integers(2, 4))
@settings(max_examples=8)
def test_the_order_of_the_concepts_never_matters(
    method: MergeMethod, seed: int, count: int
) -> None:
    all_inputs = renamed(made_inputs(count, SHAPE, targets=4, seed=seed), "<mycat>")
    weights = [1.0, 0.7, -0.5, 0.2][:count]
    first = merged(all_inputs, weights, method=method, allow_ill_posed=True)
    for order in permutations(range(count)):
        other = merged(
            [all_inputs[at] for at in order],
            [weights[at] for at in order],
            method=method,
            allow_ill_posed=True,
        )
        assert torch.equal(
            factors_of(other.concept.update)[0][0], factors_of(first.concept.update)[0][0]
        )
        assert other.concept.subjects == first.concept.subjects
        assert other.concept.name == first.concept.name
        assert other.report == first.report


@given(seed=st.integers(0, 100), count=st.integers(1, 3), targets=st.integers(1, 6))
@settings(max_examples=20)
def test_every_concept_keeps_its_targets(seed: int, count: int, targets: int) -> None:
    all_inputs = made_inputs(count, SHAPE, targets=targets, seed=seed)
    result = merged(all_inputs, allow_ill_posed=True)
    assert max(error.constraint or 0.0 for error in result.report.concepts) < 1e-4
    for inputs in all_inputs:
        applied = result.concept.update.apply(inputs.constraint.features)
        assert relative(applied, inputs.constraint.values) < 1e-4


@pytest.mark.parametrize("method", METHODS)
@given(seed=st.integers(0, 100), count=st.integers(1, 3))
@settings(max_examples=10)
def test_the_rank_is_at_most_the_number_of_targets(
    method: MergeMethod, seed: int, count: int
) -> None:
    all_inputs = made_inputs(count, SHAPE, targets=3, seed=seed)
    result = merged(all_inputs, method=method, allow_ill_posed=True)
    rank = result.report.rank or 0
    update = result.concept.update
    assert 1 <= rank <= (3 * count if method == "constrained" else WIDTH)
    ((left, right),) = factors_of(update)
    assert (left.shape[1], right.shape[0]) == (rank, rank)
    torch.testing.assert_close(right @ right.T, torch.eye(rank), rtol=0, atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_a_merge_is_linear_in_the_weights(method: MergeMethod) -> None:
    all_inputs = made_inputs(2, SHAPE, targets=4)
    both = dense(merged(all_inputs, [0.6, -2.0], method=method, allow_ill_posed=True))
    parts = [
        dense(merged(all_inputs, weights, method=method, allow_ill_posed=True))
        for weights in ([1.0, 0.0], [0.0, 1.0])
    ]
    assert relative(0.6 * parts[0] - 2.0 * parts[1], both) < 1e-4


@pytest.mark.parametrize("method", METHODS)
def test_what_changes_nothing_is_merged_to_nothing(method: MergeMethod) -> None:
    nothing = [DenseUpdate(torch.zeros(SHAPE))] * 2
    result = merged(made_inputs(2, SHAPE, updates=nothing), method=method)
    assert dense(result).abs().max() == 0
    assert result.report.drift == 0
    assert all(error.constraint == 0 for error in result.report.concepts)


def test_a_concept_merged_again_is_the_same() -> None:
    once = merged(made_inputs(2, SHAPE, targets=4))
    again = merged([once.inputs])
    assert relative(dense(again), dense(once)) < 1e-2  # merge inputs are in half precision
    assert again.concept.subjects == once.concept.subjects


def test_merging_merges_is_merging_all_at_once() -> None:
    all_inputs = made_inputs(3, SHAPE, targets=4)
    at_once = merged(all_inputs)
    pair = merged(all_inputs[:2])
    stepwise = merged([pair.inputs, all_inputs[2]])
    assert relative(dense(stepwise), dense(at_once)) < 2e-2
    assert {phrase for error in stepwise.report.concepts for phrase in error.phrases} == {
        phrase for inputs in all_inputs for phrase in inputs.phrases
    }


def test_the_literal_algorithm_agrees() -> None:
    all_inputs = made_inputs(2, SHAPE, targets=5, seed=3)
    updates = [
        DenseUpdate(torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed)))
        for seed in (1, 2)
    ]
    all_inputs = made_inputs(2, SHAPE, targets=5, seed=3, updates=updates)
    base = torch.randn(SHAPE, generator=torch.Generator().manual_seed(9))
    heights = [16, 24, 8]
    literal = literal_merge(
        base.split(heights),
        [(base + update.dense()).split(heights) for update in updates],
        [inputs.constraint.features for inputs in all_inputs],
        draw_features(4 * WIDTH, WIDTH, 77),
    )
    assert relative(torch.cat(literal) - base, dense(merged(all_inputs))) < 0.05


BLOCKS = {"rank": 2, "widths": (20, 28)}


@pytest.mark.parametrize(
    "forms", [({}, {}), ({"rank": 3}, {"rank": 3}), (BLOCKS, BLOCKS), ({"rank": 3}, BLOCKS)]
)
def test_a_sum_adds_the_updates(forms: tuple[dict[str, Any], dict[str, Any]]) -> None:
    updates = [random_update(SHAPE, seed=seed, **form) for seed, form in enumerate(forms)]
    all_inputs = made_inputs(2, SHAPE, updates=updates)
    result = merged(all_inputs, [1.0, -0.5], method="sum", updates=updates)
    expected = updates[0].dense() - 0.5 * updates[1].dense()
    torch.testing.assert_close(dense(result), expected)
    assert all((error.constraint or 0) > 0.1 for error in result.report.concepts)
    # What fits into the factors of both need not become a matrix.
    assert isinstance(result.concept.update, FactoredUpdate) == (
        forms[0] == forms[1] == {"rank": 3}
    )
    with pytest.raises(ConfigError, match="the update of each concept"):
        merged(all_inputs, method="sum")


def test_a_concept_given_twice_counts_once() -> None:
    all_inputs = made_inputs(2, SHAPE)
    twice = merged([*all_inputs, replace(all_inputs[0], name="copy")])
    assert relative(dense(twice), dense(merged(all_inputs))) < 1e-6
    assert any("given twice" in note for note in twice.report.notes)
    assert len(twice.concept.subjects) == 2


def test_colliding_tokens_are_renamed_and_reported() -> None:
    all_inputs = renamed(made_inputs(2, SHAPE), "<mycat>")
    result = merged(all_inputs)
    tokens = [subject.token for subject in result.concept.subjects]
    assert tokens == ["<mycat>", "<mycat-2>"] == list(result.concept.tokens)
    second = next(inputs for inputs in all_inputs if inputs.name == result.report.concepts[1].name)
    assert torch.equal(result.concept.tokens["<mycat-2>"], second.tokens["<mycat>"])
    assert result.report.renamed == {f"{second.name}: <mycat>": "<mycat-2>"}
    assert result.report.concepts[1].phrases == ("<mycat-2> cat",)


def test_a_merge_says_what_it_was_made_of_and_what_it_kept() -> None:
    all_inputs = made_inputs(2, SHAPE)
    result = merged(all_inputs, [1.0, 0.5], name="pair")
    concept, report = result.concept, result.report
    assert concept.name == "pair"
    assert {(parent["name"], parent["weight"]) for parent in concept.parents} == {
        ("concept0", 1.0),
        ("concept1", 0.5),
    }
    assert {parent["digest"] for parent in concept.parents} == {
        inputs.digest for inputs in all_inputs
    }
    assert concept.metrics["merge"] == report.as_json()
    assert report.amplification is not None
    assert 0.5 < report.amplification < 2
    assert report.caption_condition is not None
    assert report.caption_condition > 1
    assert report.target_condition is not None
    assert report.drift is not None
    assert report.drift > 0
    for error in report.concepts:
        assert error.held_out is not None
        assert error.held_out > (error.constraint or 0.0)
        assert (error.drift_alone or 0.0) > 0


def test_concepts_of_different_bases_are_refused() -> None:
    one, other = made_inputs(2, SHAPE)
    with pytest.raises(BaseMismatchError, match=r"'concept1' was trained on base.*one base only"):
        merged([one, replace(other, base_fingerprint="0" * 64)])
    with pytest.raises(BaseMismatchError, match="'concept0'"):
        merge(made_inputs(1, (48, WIDTH + 1)), STATISTICS)
    (longer,) = made_inputs(1, (49, WIDTH))
    with pytest.raises(BaseMismatchError, match="train it again"):
        merged([one, longer])


def nearly_equal(statistics: CaptionStatistics, distance: float) -> list[MergeInputs]:
    """Return two concepts whose targets differ little, and whose values do not agree."""
    one, other = made_inputs(2, SHAPE, targets=4)
    near = one.constraint.features + distance * draw_features(4, WIDTH, 5) @ (
        statistics.factor.float() / statistics.factor.norm().float()
    )
    return [one, replace(other, constraint=Rows(features=near, values=other.constraint.values))]


@pytest.mark.parametrize("method", ["constrained", "ridge"])
@pytest.mark.parametrize("distance", [0.0, 1e-4, 1e-2])
def test_nearly_equal_targets_are_refused_with_the_remedy(
    distance: float, method: MergeMethod
) -> None:
    all_inputs = nearly_equal(STATISTICS, distance)
    with pytest.raises(MergeError, match=r"concept. .*and concept. .*jointly") as caught:
        merged(all_inputs, method=method)
    assert "\n" not in str(caught.value)
    allowed = merged(all_inputs, method=method, allow_ill_posed=True)
    assert allowed.report.notes == (str(caught.value),)


def test_two_concepts_that_teach_one_word_are_refused() -> None:
    one, other = made_inputs(2, SHAPE)
    shared = draw_features(3, WIDTH, 1)
    all_inputs = [
        replace(
            inputs,
            subjects=(Subject(class_noun="cat", token=None),),
            tokens={},
            constraint=Rows(features=shared, values=inputs.constraint.values[:3]),
        )
        for inputs in (one, other)
    ]
    with pytest.raises(MergeError, match="nearly equal targets"):
        merged(all_inputs)


def test_equal_rows_with_equal_values_are_one_row() -> None:
    update = random_update(SHAPE)
    all_inputs = made_inputs(2, SHAPE, targets=4, updates=[update, update])
    shared = values_of(
        update, torch.cat([all_inputs[0].constraint.features[:2], draw_features(2, WIDTH, 5)])
    )
    result = merged([all_inputs[0], replace(all_inputs[1], constraint=shared)])
    assert result.report.rank == 6
    assert result.report.dropped == 0
    assert max(error.constraint or 0.0 for error in result.report.concepts) < 1e-4


def test_a_ridge_merge_that_loses_a_concept_is_refused() -> None:
    all_inputs = made_inputs(2, SHAPE)
    with pytest.raises(MergeError, match=r"a penalty below 1e\+06"):
        merged(all_inputs, method="ridge", penalty=1e6)


def test_a_ridge_merge_needs_sketches_and_a_constrained_one_does_not() -> None:
    all_inputs = [replace(inputs, sketch=None, held_out=None) for inputs in made_inputs(2, SHAPE)]
    assert all(error.held_out is None for error in merged(all_inputs).report.concepts)
    with pytest.raises(MergeError, match="has no sketch"):
        merged(all_inputs, method="ridge")


@pytest.mark.parametrize(
    ("weights", "settings", "message"),
    [
        ([1.0], {}, "2 concepts and 1 weights"),
        ([1.0, float("nan")], {}, "expected finite numbers"),
        ([1.0, 1.0], {"method": "ridge", "penalty": 0.0}, "expected a number above 0"),
    ],
)
def test_impossible_settings_are_refused(
    weights: list[float], settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        merged(made_inputs(2, SHAPE), weights, **settings)
    with pytest.raises(ConfigError, match="0 concepts"):
        merged([])


def test_a_ridge_merge_fits_the_twenty_leading_directions_of_a_subject() -> None:
    (one,) = made_inputs(1, SHAPE)
    assert one.sketch is not None
    result = merged([one], method="ridge", penalty=1e-9, allow_ill_posed=True)
    assert result.report.rank == 20 < len(one.sketch.features)
    both = replace(one, subjects=(*one.subjects, Subject(class_noun="dog", token=None)))
    joint = merged([both], method="ridge", penalty=1e-9, allow_ill_posed=True)
    assert joint.report.rank is not None
    assert joint.report.rank > 20


def test_a_sum_is_never_refused_and_needs_every_update() -> None:
    all_inputs = nearly_equal(STATISTICS, 0.0)
    updates = [random_update(SHAPE, seed=seed) for seed in (1, 2)]
    assert merged(all_inputs, method="sum", updates=updates).report.notes == ()
    with pytest.raises(ConfigError, match="the update of each concept"):
        merged(all_inputs, method="sum", updates=updates[:1])


def test_a_merge_says_which_concepts_were_made_in_half_precision() -> None:
    first, second = made_inputs(2, SHAPE)
    assert merged([first, second]).report.notes == ()
    rounded = replace(first.constraint, features=first.constraint.features.bfloat16().float())
    (note,) = merged(
        [replace(first, constraint=rounded), second], allow_ill_posed=True
    ).report.notes
    assert note.startswith(first.name)


def test_any_finite_penalty_above_nought_will_do() -> None:
    all_inputs = made_inputs(1, SHAPE)
    for penalty in (1e-6, 0.5, 1.0):
        assert merged(all_inputs, method="ridge", penalty=penalty).report.penalty == penalty
    for penalty in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(ConfigError, match="expected a number above 0"):
            merged(all_inputs, method="ridge", penalty=penalty)


def test_what_a_concept_alone_changes_on_captions_is_in_the_unit_of_the_drift() -> None:
    result = merged(made_inputs(1, SHAPE))
    energy = float((dense(result).double() @ STATISTICS.factor).square().sum())
    (error,) = result.report.concepts
    assert error.drift_alone == pytest.approx((energy / STATISTICS.base_energy) ** 0.5, rel=1e-4)
    assert factors_of(result.concept.update)[0][1].is_contiguous()


def test_a_merge_without_a_name_has_those_of_its_concepts() -> None:
    all_inputs = made_inputs(3, SHAPE)
    names = merged(all_inputs).concept.name.split("+")
    assert sorted(names) == [inputs.name for inputs in all_inputs]


def test_a_merge_has_the_subjects_and_the_features_of_all_its_concepts() -> None:
    all_inputs = made_inputs(2, SHAPE)
    result = merged(all_inputs)
    parents = {parent["name"]: parent["subjects"] for parent in result.concept.parents}
    assert parents == {
        inputs.name: [asdict(subject) for subject in inputs.subjects] for inputs in all_inputs
    }
    ordered = sorted(all_inputs, key=lambda inputs: inputs.digest)
    for name, features in result.features.named().items():
        expected = torch.cat([inputs.rows[name].features for inputs in ordered])
        assert torch.equal(features, expected)
    assert result.features.named().keys() == all_inputs[0].rows.keys()
    older = [replace(all_inputs[0], sketch=None), all_inputs[1]]
    assert merged(older).features.sketch is None
