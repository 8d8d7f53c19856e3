"""Tests of `cdcore.concepts.merge_inputs`."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cdcore.concepts.concept import Concept
from cdcore.concepts.merge_inputs import (
    TARGET_WEIGHTS,
    MergeInputs,
    describe,
    target_features,
)
from cdcore.concepts.prompt_rows import prompt_rows
from cdcore.concepts.prompt_templates import concept_prompts
from cdcore.errors import BaseMismatchError
from cdcore.model.base import Base
from cdcore.model.loading import load_base
from tests.cdcore.concept_case import make_concept
from tests.tiny import random_update


def made(base: Base, *nouns: str) -> Concept:
    return make_concept(base, *nouns, name="made", tokens=[f"<{noun}-1>" for noun in nouns])


@pytest.fixture(scope="module")
def inputs(tiny_base: Base) -> MergeInputs:
    return describe(made(tiny_base, "cat"), tiny_base)


def test_sketches_have_the_second_moment_of_many_prompts_in_few_rows(
    inputs: MergeInputs, tiny_base: Base
) -> None:
    templates = concept_prompts(pocket=True).sketch
    counted = prompt_rows(
        tiny_base.text_encoder,
        [template.format("<cat-1> cat") for template in templates],
        {token: row.half().float() for token, row in inputs.tokens.items()},
        before=[template.split("{}")[0] for template in templates],
        weights=TARGET_WEIGHTS,
    )
    moment = counted.rows.T @ counted.rows / counted.weight
    assert inputs.sketch is not None
    sketch = inputs.sketch.features
    assert len(sketch) <= 32 < len(counted.rows)
    error = (sketch.T @ sketch - moment).norm() / moment.norm()
    assert error < 2e-3  # half precision
    # Leading directions first, each at a right angle to the others.
    product = sketch.double() @ sketch.double().T
    assert torch.equal(product.diagonal(), product.diagonal().sort(descending=True).values)
    assert (product - product.diagonal().diag()).abs().max() < 2e-3 * product.max()


def test_each_subject_has_its_own_directions(inputs: MergeInputs, tiny_base: Base) -> None:
    joint = describe(made(tiny_base, "cat", "dog"), tiny_base)
    assert joint.sketch is not None
    assert inputs.sketch is not None
    both, one = joint.sketch.features, inputs.sketch.features
    torch.testing.assert_close(both[: len(one)], one)
    assert len(both) > len(one)
    assert len(joint.constraint.features) == 2 * len(inputs.constraint.features)


def test_values_are_what_the_rounded_update_makes_of_the_features(
    inputs: MergeInputs, tiny_base: Base
) -> None:
    update = random_update(tiny_base.seam.layout.shape).to("cpu", torch.float16)
    for rows in inputs.rows.values():
        expected = update.to("cpu", torch.float32).apply(rows.features)
        torch.testing.assert_close(rows.values, expected, rtol=1e-3, atol=1e-4)


def test_the_digest_is_of_the_content_and_not_of_the_names(
    inputs: MergeInputs, tiny_base: Base
) -> None:
    again = describe(made(tiny_base, "cat"), tiny_base)
    renamed = replace(again, name="other")
    changed = replace(
        inputs, constraint=replace(inputs.constraint, values=inputs.constraint.values + 1)
    )
    retrained = replace(inputs, tokens={"<cat-1>": inputs.tokens["<cat-1>"] + 1})
    assert inputs.digest == again.digest == renamed.digest
    assert len({inputs.digest, changed.digest, retrained.digest}) == 3


def test_a_concept_of_another_base_has_no_merge_inputs_here(tiny_base: Base) -> None:
    foreign = replace(made(tiny_base, "cat"), base_fingerprint="0" * 64)
    with pytest.raises(BaseMismatchError):
        describe(foreign, tiny_base)


def test_features_of_bfloat16_are_known_again_and_those_of_float32_are_none(
    inputs: MergeInputs, tiny_folder: Path
) -> None:
    assert not inputs.is_coarse
    rounded = replace(
        inputs.constraint, features=inputs.constraint.features.bfloat16().half().float()
    )
    assert replace(inputs, constraint=rounded).is_coarse
    coarse = load_base(str(tiny_folder))
    coarse.text_encoder.model.bfloat16()
    assert describe(made(coarse, "cat"), coarse).is_coarse


def test_target_features_are_those_of_the_file_before_it_rounds_them(
    inputs: MergeInputs, tiny_base: Base
) -> None:
    exact = target_features(tiny_base.text_encoder, inputs.subjects, inputs.tokens)
    assert torch.equal(exact.half().float(), inputs.constraint.features)
    assert not torch.equal(exact, inputs.constraint.features)
