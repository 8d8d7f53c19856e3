from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from cdcore.base import Base
from cdcore.concept import Concept
from cdcore.evaluation import PROMPTS, Evaluation, evaluate_concept
from cdcore.sampling import Request, sample
from cdcore.subject import Subject
from cdcore.update import Update
from tests.tiny import random_update

SEEDS = (3, 8)
TEXTS = ("photo of a {}", "a {} in the snow")


class Projection:
    """Embeds pictures by a fixed random projection, and texts by their letters."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.matrix = torch.randn(3 * 64 * 64, 16, generator=torch.Generator().manual_seed(0))

    def embed_pictures(self, pixels: Tensor) -> Tensor:
        return functional.normalize(pixels.flatten(1) @ self.matrix, dim=-1)

    def embed_texts(self, texts: list[str]) -> Tensor:
        self.texts += texts
        counts = [[float(text.count(letter)) for letter in "abcdefghijklmnop"] for text in texts]
        return functional.normalize(torch.tensor(counts), dim=-1)


@pytest.fixture(scope="module")
def base(tiny_base: Base) -> Base:
    return replace(tiny_base, profile=replace(tiny_base.profile, sampling_steps=2))


def concept(base: Base, update: Update) -> Concept:
    return Concept(
        name="mycat",
        update=update,
        tokens={"<mycat>": base.text_encoder.initial_embedding("dog")},
        subjects=(Subject(class_noun="cat", token="<mycat>"),),
        base_name=base.name,
        base_fingerprint=base.fingerprint,
    )


def targets() -> Tensor:
    return torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1


def evaluated(base: Base, update: Update, **changes: Any) -> Evaluation:
    settings: dict[str, Any] = {"embedder": Projection(), "seeds": SEEDS, "prompts": TEXTS}
    return evaluate_concept(base, concept(base, update), targets(), **settings | changes)


@pytest.fixture(scope="module")
def result(base: Base) -> Evaluation:
    return evaluated(base, random_update(base.seam.layout.shape))


def shape(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: shape(part) for name, part in value.items()}
    return type(value)


def test_the_metrics_have_one_value_for_each_side_and_a_spread(result: Evaluation) -> None:
    figures = {
        "image_alignment": {"base": float, "concept": float},
        "text_alignment": {"base": float, "concept": float},
        "prior_drift": float,
    }
    assert shape(result.metrics) == figures | {"spread": figures}
    assert result.metrics["spread"]["image_alignment"]["concept"] > 0
    assert result.prompts == tuple(text.format("<mycat> cat") for text in TEXTS)
    assert result.seeds == SEEDS


@pytest.mark.parametrize("side", ["base", "concept"])
def test_both_sides_are_the_samples_of_their_prompts_and_seeds(
    base: Base, result: Evaluation, side: str
) -> None:
    made = concept(base, random_update(base.seam.layout.shape))
    request = Request(
        prompt="a cat in the snow" if side == "base" else "a <mycat> cat in the snow",
        seed=SEEDS[1],
        steps=2,
        guidance_scale=base.profile.guidance_scale,
        sampler=base.profile.sampler,
        update=None if side == "base" else made.update,
        tokens=None if side == "base" else made.tokens,
    )
    pixels = getattr(result, side)
    assert pixels.shape == (2, 2, 3, 64, 64)
    torch.testing.assert_close(pixels[1, 1], sample(base, [request])[0], rtol=0, atol=1e-4)


def test_the_alignment_is_scored_against_the_pictures_and_the_plain_prompts(
    base: Base, result: Evaluation
) -> None:
    embedder = Projection()
    again = evaluated(base, random_update(base.seam.layout.shape), embedder=embedder)
    assert embedder.texts == ["photo of a cat", "a cat in the snow"]
    rows = embedder.embed_pictures(result.concept.flatten(0, 1))
    expected = (rows @ embedder.embed_pictures(targets()).T).mean()
    assert result.metrics["image_alignment"]["concept"] == pytest.approx(float(expected), abs=1e-4)
    assert again.metrics == result.metrics


def test_the_drift_is_the_update_s_alone(base: Base, result: Evaluation) -> None:
    nothing = Update(weight=torch.zeros(base.seam.layout.shape))
    # Another token row, no update: prompts without the token must not move.
    assert evaluated(base, nothing).metrics["prior_drift"] == pytest.approx(0, abs=1e-5)
    assert result.metrics["prior_drift"] > 1e-4


def test_one_seed_has_no_spread_and_no_embedder_no_metrics(base: Base) -> None:
    update = random_update(base.seam.layout.shape)
    assert evaluated(base, update, seeds=(1,)).metrics["spread"]["prior_drift"] == 0
    calls: list[tuple[int, int]] = []
    plain = evaluated(
        base, update, embedder=None, seeds=(1,), on_step=lambda *call: calls.append(call)
    )
    assert plain.metrics == {}
    assert calls == [(1, 2), (2, 2)]


def test_each_prompt_has_a_place_for_the_concept() -> None:
    assert all(prompt.count("{}") == 1 for prompt in PROMPTS)
