"""Tests of `cdcore.concepts.masked_sum`."""

import pytest
import torch
from torch import Tensor

from cdcore.concepts.masked_sum import MaskedPart, MaskedSum, own_positions
from cdcore.concepts.subject import Subject
from cdcore.model.base import Base
from cdcore.sampling.pipeline import sample
from cdcore.sampling.request import Request
from tests.tiny import random_update

POT = Subject(class_noun="wooden pot", token="<mypot>")
CAT = Subject(class_noun="cat", token="<mycat>")
ART = Subject(class_noun="dog", token=None)
TOKENS = ["<mycat>", "<mypot>"]


def named(base: Base, prompt: str, *subjects: Subject) -> list[int]:
    mask = own_positions(base.text_encoder, prompt, TOKENS, subjects)
    assert len(mask) == base.text_encoder.max_tokens
    return mask.nonzero().flatten().tolist()


def test_the_rows_of_a_subject_are_its_token_and_its_noun(tiny_base: Base) -> None:
    prompt = "a <mypot> wooden pot next to a <MyCat> cat and a cat"
    assert named(tiny_base, prompt, POT) == [2, 3, 4]
    assert named(tiny_base, prompt, CAT) == [8, 9]
    assert named(tiny_base, prompt, CAT, POT) == [2, 3, 4, 8, 9]
    assert named(tiny_base, "a <mypot> blue wooden pot and a <mycat>", POT, CAT) == [2, 8]
    assert named(tiny_base, "a dog on a dog", ART) == [2, 5]
    assert named(tiny_base, "a red cat", CAT, POT, ART) == []


@pytest.fixture
def tokens(tiny_base: Base) -> dict[str, Tensor]:
    row = tiny_base.text_encoder.initial_embedding("cat")
    return {"<mycat>": row, "<mypot>": row + 1}


@torch.no_grad()
def test_each_update_acts_on_its_own_rows_alone(tiny_base: Base, tokens: dict[str, Tensor]) -> None:
    shape = tiny_base.seam.layout.shape
    cat, pot = random_update(shape, seed=1), random_update(shape, seed=2, rank=2)
    masked = MaskedSum(
        parts=(
            MaskedPart(update=cat, subjects=(CAT,)),
            MaskedPart(update=pot, subjects=(POT,)),
        )
    )
    prompt = "a <mycat> cat and a <mypot> wooden pot"
    features = tiny_base.text_encoder.encode([prompt], tokens)
    bound = masked.at(tiny_base.text_encoder, prompt, tokens)
    ours = torch.cat(tiny_base.seam.project(features, [bound]), dim=-1)[0]
    expected = torch.cat(tiny_base.seam.project(features), dim=-1)[0]
    expected[2:4] += cat.apply(features[0, 2:4])
    expected[6:9] += pot.apply(features[0, 6:9])
    torch.testing.assert_close(ours, expected)


def test_prompts_without_a_concept_stay_those_of_the_base(
    tiny_base: Base, tokens: dict[str, Tensor]
) -> None:
    update = random_update(tiny_base.seam.layout.shape, seed=1)
    masked = MaskedSum(parts=(MaskedPart(update=update, subjects=(CAT,)),))

    def picture(prompt: str, used: MaskedSum | None) -> Tensor:
        return sample(
            tiny_base,
            [Request(prompt=prompt, seed=0, steps=2, guidance_scale=2, update=used, tokens=tokens)],
        )

    assert torch.equal(picture("a dog", masked), picture("a dog", None))
    named_one = picture("a <mycat> cat", masked)
    assert (named_one - picture("a <mycat> cat", None)).abs().mean() > 1e-3
