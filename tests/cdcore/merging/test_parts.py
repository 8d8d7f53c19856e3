"""Tests of `cdcore.merging.parts`; the solve is tested with `cdcore.merging.merge`."""

from dataclasses import replace

import pytest
import torch

from benchmarks.merging.case import make_statistics
from cdcore.errors import BaseMismatchError
from cdcore.merging.parts import arrange, check_bases
from tests.cdcore.merging_case import made_inputs

WIDTH = 16
ALL_INPUTS = made_inputs(3, (20, WIDTH))


def test_parts_are_in_the_order_of_content_with_their_weights_and_updates() -> None:
    weights = [1.0, 2.0, 3.0]
    parts, renamed, notes = arrange(ALL_INPUTS, weights, None)
    assert [part.inputs.digest for part in parts] == sorted(inputs.digest for inputs in ALL_INPUTS)
    assert {part.inputs.name: part.weight for part in parts} == {
        inputs.name: weight for inputs, weight in zip(ALL_INPUTS, weights, strict=True)
    }
    assert (renamed, notes) == ({}, [])
    again, _, _ = arrange(ALL_INPUTS[::-1], weights[::-1], None)
    assert [part.inputs.name for part in again] == [part.inputs.name for part in parts]
    assert [part.weight for part in again] == [part.weight for part in parts]


def test_tokens_keep_their_rows_under_new_names() -> None:
    twins = [replace(inputs, subjects=ALL_INPUTS[0].subjects) for inputs in ALL_INPUTS]
    parts, renamed, _ = arrange(twins, [1.0] * 3, None)
    assert [list(part.tokens) for part in parts] == [
        ["<concept0>"],
        ["<concept0-2>"],
        ["<concept0-3>"],
    ]
    for part in parts:
        (row,) = part.tokens.values()
        assert torch.equal(row, next(iter(part.inputs.tokens.values())))
    assert sorted(renamed.values()) == ["<concept0-2>", "<concept0-3>"]


def test_only_the_same_content_at_the_same_weight_counts_once() -> None:
    same = replace(ALL_INPUTS[0], name="same")
    parts, _, notes = arrange([ALL_INPUTS[0], same, same], [1.0, 1.0, 0.5], None)
    assert sorted(part.weight for part in parts) == [0.5, 1.0]
    assert len(notes) == 1


def test_bases_must_be_one() -> None:
    statistics = make_statistics(WIDTH)
    check_bases(ALL_INPUTS, statistics)
    with pytest.raises(BaseMismatchError, match="'concept2'"):
        check_bases([*ALL_INPUTS[:2], replace(ALL_INPUTS[2], base_fingerprint="0")], statistics)


def test_one_concept_has_one_base_and_another_stack_is_another_base() -> None:
    statistics = make_statistics(WIDTH)
    check_bases(ALL_INPUTS[:1], statistics)
    (taller,) = made_inputs(1, (21, WIDTH))
    (wider,) = made_inputs(1, (20, WIDTH + 1))
    for stranger in (taller, wider):
        with pytest.raises(BaseMismatchError, match="'stranger'"):
            check_bases([*ALL_INPUTS, replace(stranger, name="stranger")], statistics)
    with pytest.raises(BaseMismatchError, match=rf"'concept0'.*\(20, {WIDTH}\)"):
        check_bases(ALL_INPUTS, make_statistics(WIDTH + 1))
