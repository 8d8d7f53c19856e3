from typing import Any

import pytest
import torch
from torch import Tensor

from cdcore.errors import ConceptFileError, ConfigError
from cdcore.formats.tensors.kv_base import KVBase
from cdcore.formats.tensors.stack_tensors import (
    check_names,
    matrix_factors,
    rows_of,
    split_row,
    update_of_factors,
    update_of_weights,
    weights_of,
)
from cdcore.model.families import PUBLISHED_FAMILIES
from tests.tiny import random_update

PAIR = KVBase(name="two", layout=PUBLISHED_FAMILIES[2].layout, encoder_widths=(768, 1280))


@pytest.mark.parametrize("form", ["dense", "factored", "blocks"])
def test_the_way_to_weights_and_back_is_the_identity(kv_base: KVBase, form: str) -> None:
    layout = kv_base.layout
    update = random_update(
        layout.shape,
        rank=None if form == "dense" else 2,
        widths=layout.widths if form == "blocks" else None,
    ).scaled(0.1)
    weights = weights_of(update, kv_base)
    assert {name: len(weight) for name, weight in weights.items()} == dict(
        zip(layout.names, layout.widths, strict=True)
    )
    back, _ = update_of_weights("file", weights, kv_base)
    torch.testing.assert_close(back.dense(), update.dense(), rtol=0, atol=1e-6)


def test_weights_of_another_base_are_pointed_out(kv_base: KVBase) -> None:
    near = weights_of(random_update(kv_base.layout.shape).scaled(1e-3), kv_base)
    far = weights_of(random_update(kv_base.layout.shape).scaled(9), kv_base)
    assert update_of_weights("file", near, kv_base)[1] == ""
    assert "is that the base it was trained on" in update_of_weights("file", far, kv_base)[1]


def test_without_the_base_s_weights_there_is_no_difference(kv_base: KVBase) -> None:
    family = KVBase.of_family(PUBLISHED_FAMILIES[0])
    weights = dict.fromkeys(family.layout.names, torch.zeros(1))
    with pytest.raises(ConfigError, match="give --base"):
        update_of_weights("file", weights, family)


def test_factors_are_those_of_each_matrix(kv_base: KVBase) -> None:
    layout = kv_base.layout
    for widths in (None, layout.widths):
        update = random_update(layout.shape, rank=3, widths=widths)
        factors = matrix_factors(update, layout)
        made = torch.cat([left @ right for left, right in factors.values()])
        torch.testing.assert_close(made, update.dense())
        entries = {name: {"u": left, "v": right} for name, (left, right) in factors.items()}
        read = update_of_factors("file", entries, layout)
        torch.testing.assert_close(read.dense(), update.dense())
    with pytest.raises(ValueError, match="compress it first"):
        matrix_factors(random_update(layout.shape), layout)


def test_a_matrix_that_the_original_erased_is_nothing(kv_base: KVBase) -> None:
    layout = kv_base.layout
    factors = matrix_factors(random_update(layout.shape, rank=2), layout)
    entries = {name: {"u": left, "v": right} for name, (left, right) in factors.items()}
    first, width = layout.names[0], layout.widths[0]
    entries[first] = {"u": torch.zeros(width, 0), "v": torch.zeros(0, layout.text_width)}
    read = update_of_factors("file", entries, layout)
    assert not read.dense()[:width].any()
    assert read.dense()[width:].any()


def bad_weights(weights: dict[str, Any], first: str) -> dict[str, dict[str, Any]]:
    nan = weights[first].clone()
    nan[0, 0] = torch.nan
    missing = {name: weight for name, weight in weights.items() if name != first}
    return {
        "no down_blocks": missing,
        "the key 'soul'": weights | {"soul": torch.zeros(1)},
        "a concept cannot express": weights | {first.replace("to_k", "to_q"): weights[first]},
        "expected": weights | {first: weights[first][:-1]},
        "is str": weights | {first: "text"},
        "no numbers": weights | {first: nan},
    }


def test_what_is_no_set_of_keys_and_values_is_refused_by_name(kv_base: KVBase) -> None:
    weights: dict[str, Any] = dict(kv_base.layout.split(kv_base.weights))
    for match, given in bad_weights(weights, kv_base.layout.names[0]).items():
        with pytest.raises(ConceptFileError, match=match) as caught:
            update_of_weights("some.bin", given, kv_base)
        assert "some.bin" in str(caught.value)
        assert "\n" not in str(caught.value)


def test_what_are_no_factors_is_refused(kv_base: KVBase) -> None:
    layout = kv_base.layout
    factors = matrix_factors(random_update(layout.shape, rank=2), layout)
    entries: dict[str, Any] = {n: {"u": left, "v": right} for n, (left, right) in factors.items()}
    first = layout.names[0]
    left, right = factors[first]
    for entry in (left, {"u": left}, {"u": left, "v": right[:1]}, {"u": 3, "v": right}):
        with pytest.raises(ConceptFileError, match=r"some\.bin"):
            update_of_factors("some.bin", entries | {first: entry}, layout)


def test_names_that_are_complete_pass(kv_base: KVBase) -> None:
    check_names("file", dict.fromkeys(kv_base.layout.names), kv_base.layout)


def test_a_row_for_each_encoder_is_one_row(kv_base: KVBase) -> None:
    first, second = torch.randn(768), torch.randn(1280)
    row = rows_of("file", "<a>", [first, second], PAIR)
    assert torch.equal(row, torch.cat([first, second]))
    parts = split_row(row, PAIR)
    assert torch.equal(parts[0], first)
    assert torch.equal(parts[1], second)
    assert torch.equal(rows_of("file", "<a>", torch.ones(1, 32), kv_base), torch.ones(32))


def test_rows_of_another_base_are_refused(kv_base: KVBase) -> None:
    wrong: list[tuple[Any, KVBase]] = [
        (torch.zeros(768), PAIR),
        ([torch.zeros(1280), torch.zeros(768)], PAIR),
        (torch.zeros(31), kv_base),
        (torch.zeros(2, 32), kv_base),
        ("text", kv_base),
    ]
    for rows, base in wrong:
        with pytest.raises(ConceptFileError, match="<a>"):
            rows_of("file", "<a>", rows, base)
    assert isinstance(rows_of("file", "<a>", torch.zeros(32), kv_base), Tensor)
