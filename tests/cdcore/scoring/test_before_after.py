from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from cdcore.concepts.concept import Concept
from cdcore.concepts.subject import Subject
from cdcore.model.base import Base
from cdcore.model.update import DenseUpdate, Update
from cdcore.sampling.pipeline import sample
from cdcore.sampling.request import Request
from cdcore.scoring.before_after import (
    PAIR_PROMPTS,
    PROMPTS,
    Evaluation,
    evaluate_concept,
    evaluate_pair,
    joint_metrics,
)
from tests.cdcore.concept_case import make_concept
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
    row = base.text_encoder.initial_embedding("dog")
    return replace(make_concept(base, "cat", update=update), tokens={"<mycat>": row})


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
    nothing = DenseUpdate(torch.zeros(base.seam.layout.shape))
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


def joint(base: Base) -> Concept:
    return replace(
        concept(base, random_update(base.seam.layout.shape)),
        subjects=(
            Subject(class_noun="cat", token="<mycat>"),
            Subject(class_noun="chair", token="<mychair>"),
        ),
        tokens={
            "<mycat>": base.text_encoder.initial_embedding("dog"),
            "<mychair>": base.text_encoder.initial_embedding("table"),
        },
    )


@pytest.fixture(scope="module")
def parts(base: Base) -> list[Evaluation]:
    """The two subjects of a joint concept, and both at once."""
    made: Concept = joint(base)
    seeds: dict[str, Any] = {"embedder": Projection(), "seeds": SEEDS}
    both = (targets(), -targets())
    return [
        *(
            evaluate_concept(base, made, both[number], subject=number, prompts=TEXTS, **seeds)
            for number in range(2)
        ),
        evaluate_pair(base, made, both, prompts=PAIR_PROMPTS[:1], **seeds),
    ]


def test_each_subject_and_each_pair_is_named_by_its_own_phrases(parts: list[Evaluation]) -> None:
    assert [part.label for part in parts] == [
        "<mycat> cat",
        "<mychair> chair",
        "<mycat> cat and <mychair> chair",
    ]
    assert parts[1].prompts[1] == "a <mychair> chair in the snow"
    assert parts[2].prompts == ("a <mycat> cat next to a <mychair> chair",)


def test_a_pair_is_sampled_with_the_tokens_of_both(base: Base, parts: list[Evaluation]) -> None:
    made = joint(base)
    for pixels, text, update in (
        (parts[2].concept, parts[2].prompts[0], made.update),
        (parts[2].base, "a cat next to a chair", None),
    ):
        request = Request.of_profile(base, text, SEEDS[1], update=update, tokens=made.tokens)
        torch.testing.assert_close(pixels[1, 0], sample(base, [request])[0], rtol=0, atol=1e-4)


def test_a_pair_resembles_the_pictures_of_both_alike(parts: list[Evaluation]) -> None:
    embedder = Projection()
    rows = embedder.embed_pictures(parts[2].concept.flatten(0, 1))
    expected = [
        float((rows @ embedder.embed_pictures(pictures).T).mean())
        for pictures in (targets(), -targets())
    ]
    figure = parts[2].metrics["image_alignment"]["concept"]
    assert figure == pytest.approx(sum(expected) / 2, abs=1e-4)


def test_joint_figures_are_means_over_the_subjects_beside_their_own(
    parts: list[Evaluation],
) -> None:
    *subjects, pair = parts
    metrics = joint_metrics(subjects, [pair])
    assert metrics["subjects"] == {part.label: part.metrics for part in subjects}
    assert metrics["pairs"] == {pair.label: pair.metrics}
    one, other = (part.metrics for part in subjects)
    for name in ("image_alignment", "text_alignment"):
        for side in ("base", "concept"):
            mean = (one[name][side] + other[name][side]) / 2
            assert metrics[name][side] == pytest.approx(mean)
    # The spread is that of the means, not the mean of the spreads.
    drifts = [
        sum(of_seed) / 2 for of_seed in zip(*(p.scores["drift"] for p in subjects), strict=True)
    ]
    spread = abs(drifts[0] - drifts[1]) / 2**0.5
    assert metrics["spread"]["prior_drift"] == pytest.approx(spread)


def test_one_subject_alone_keeps_its_figures(result: Evaluation) -> None:
    assert joint_metrics([result], []) == result.metrics


def test_each_prompt_has_a_place_for_each_subject() -> None:
    assert all(prompt.count("{}") == 1 for prompt in PROMPTS)
    assert all(prompt.count("{}") == 2 for prompt in PAIR_PROMPTS)


def test_pictures_of_the_base_that_are_known_are_not_sampled_again(
    base: Base, result: Evaluation, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cdcore.scoring import before_after as evaluation

    asked: list[Request] = []

    def counting(base: Base, requests: list[Request], **kept: Any) -> Tensor:
        asked.extend(requests)
        return sample(base, requests, **kept)

    monkeypatch.setattr(evaluation, "sample", counting)
    again = evaluated(base, random_update(base.seam.layout.shape), before=result.base)
    assert all(request.update is not None for request in asked)
    assert len(asked) == 2 * len(SEEDS) * len(TEXTS)
    assert again.base is not result.base
    torch.testing.assert_close(again.base, result.base)
    for name, values in result.scores.items():
        assert again.scores[name] == pytest.approx(values, abs=1e-4)
