"""Tests of `cdcore.concepts.concept`."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import torch

from cdcore.concepts.concept import Concept
from cdcore.concepts.storage import save_concept
from cdcore.concepts.subject import Subject
from cdcore.errors import BaseMismatchError
from cdcore.model.base import Base
from cdcore.model.loading import load_base
from cdcore.model.update import DenseUpdate
from tests.cdcore.concepts.full_concept import full_concept
from tests.tiny import save_tiny_pipeline


def test_each_subject_has_a_phrase_and_two_target_prompts(tiny_base: Base) -> None:
    joint = full_concept(tiny_base, subjects=2)
    assert joint.phrases == ("<my0> wooden pot", "<my1> cat")
    assert joint.target_prompts == (
        "<my0> wooden pot",
        "photo of a <my0> wooden pot",
        "<my1> cat",
        "photo of a <my1> cat",
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"subjects": ()},
        {"subjects": (Subject(class_noun="cat", token="<other>"),)},
        {"subjects": (Subject(class_noun="cat", token="<my0>"),) * 2},
        {"tokens": {}},
    ],
)
def test_rows_that_do_not_belong_to_the_subjects_are_refused(
    concept: Concept, changes: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match="'mycat' has rows for"):
        replace(concept, **changes)


def test_a_renamed_concept_keeps_its_tokens(concept: Concept) -> None:
    renamed = concept.renamed("other")
    assert renamed.name == "other"
    assert renamed.tokens is concept.tokens
    assert concept.name == "mycat"


def test_a_concept_knows_when_and_with_what_it_was_made(concept: Concept) -> None:
    age = datetime.now(UTC) - datetime.fromisoformat(concept.created_at)
    assert 0 <= age.total_seconds() < 3600
    assert set(concept.libraries) >= {"torch", "diffusers", "transformers", "safetensors"}


def test_another_base_of_the_same_shape_is_used_only_when_allowed(
    concept: Concept, tiny_base: Base, tmp_path: Path
) -> None:
    save_tiny_pipeline(tmp_path / "base", seed=1)
    other = load_base(str(tmp_path / "base"))
    concept.check_base(tiny_base)
    with pytest.raises(BaseMismatchError, match="allow another base explicitly"):
        concept.check_base(other)
    concept.check_base(other, allow_other_base=True)
    path = tmp_path / "mycat.safetensors"
    with pytest.raises(BaseMismatchError):
        save_concept(concept, path, other)
    assert not path.exists()


def test_another_shape_is_never_used(concept: Concept, tiny_base: Base) -> None:
    rows, width = tiny_base.seam.layout.shape
    longer = replace(concept, update=DenseUpdate(torch.zeros(rows + 1, width)))
    wider = replace(concept, tokens={"<my0>": torch.zeros(width + 1)})
    for wrong in (longer, wider):
        with pytest.raises(BaseMismatchError, match=r"'mycat'.*base"):
            wrong.check_base(tiny_base, allow_other_base=True)
