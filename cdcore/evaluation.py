"""Evaluation of one concept: the base and the concept on the same prompts and seeds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any, Protocol

import torch
from torch import Tensor

from cdcore.base import Base
from cdcore.concept import Concept
from cdcore.metrics import image_alignment, prior_drift, text_alignment
from cdcore.sampling import Request, sample

__all__ = ["PROMPTS", "Embedder", "Evaluation", "evaluate_concept"]

PROMPTS = (
    "photo of a {}",
    "a {} on the beach",
    "a {} in the snow",
    "a {} at night",
    "a {} in the forest",
    "a {} in a room",
)
"""Prompts with a place for the concept."""


class Embedder(Protocol):
    """A picture tower and a text tower that the base was not trained with."""

    def embed_pictures(self, pixels: Tensor) -> Tensor:
        """Embed pixels (N, 3, S, S) in [-1, 1] as (N, d) rows of length 1."""

    def embed_texts(self, texts: list[str]) -> Tensor:
        """Embed texts as (N, d) rows of length 1."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Evaluation:
    """Samples of the base and of the concept, and what they score.

    Attributes:
        prompts: P prompts, with "{}" for the concept.
        seeds: S sampling seeds.
        base: (S, P, 3, H, W) pixels of the class noun without the concept.
        concept: (S, P, 3, H, W) pixels of the concept's phrase with the concept.
        metrics: ``image_alignment`` and ``text_alignment`` of both, ``prior_drift``, each with the
            spread over seeds; empty without an embedder.
    """

    prompts: tuple[str, ...]
    seeds: tuple[int, ...]
    base: Tensor
    concept: Tensor
    metrics: dict[str, Any]


def evaluate_concept(  # noqa: PLR0913 - most are keywords
    base: Base,
    concept: Concept,
    targets: Tensor,
    *,
    embedder: Embedder | None,
    seeds: Sequence[int],
    prompts: Sequence[str] = PROMPTS,
    on_step: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Sample the prompts with and without the concept, and score both.

    Text alignment is scored against the prompt with the class noun alone. The drift is between the
    base's pictures and the concept's of the same prompts without the modifier token.

    Args:
        base: The base model.
        concept: Trained on it.
        targets: Pixels (M, 3, S, S) of the pictures to resemble.
        embedder: Scores; None samples only.
        seeds: A picture for each seed and prompt.
        prompts: With "{}" for the concept.
        on_step: Called with the sampling steps done and all of them.
    """
    subject = concept.subjects[0]
    plain = [prompt.format(subject.class_noun) for prompt in prompts]
    named = [prompt.format(subject.phrase) for prompt in prompts]
    # Moved once: rows that share one update object share one projection.
    update = concept.update.to(base.device)
    kinds = [(plain, None), (named, update), (plain, update)]
    requests = [
        Request.of_profile(
            base, text, seed, update=used, tokens=None if used is None else concept.tokens
        )
        for texts, used in kinds
        for seed in seeds
        for text in texts
    ]
    pixels = sample(base, requests, on_step=on_step)
    pixels = pixels.unflatten(0, (len(kinds), len(seeds), len(prompts)))
    metrics = {} if embedder is None else _score(embedder, pixels, targets, plain)
    return Evaluation(
        prompts=tuple(prompts),
        seeds=tuple(seeds),
        base=pixels[0],
        concept=pixels[1],
        metrics=metrics,
    )


@torch.no_grad()
def _score(
    embedder: Embedder, pixels: Tensor, targets: Tensor, prompts: list[str]
) -> dict[str, Any]:
    target_rows = embedder.embed_pictures(targets)
    text_rows = embedder.embed_texts(prompts)
    scores: dict[str, list[float]] = {}
    for plain, named, kept in zip(*pixels, strict=True):
        before, after, same = (embedder.embed_pictures(part) for part in (plain, named, kept))
        for name, value in (
            ("image_base", image_alignment(before, target_rows)),
            ("image_concept", image_alignment(after, target_rows)),
            ("text_base", text_alignment(before, text_rows)),
            ("text_concept", text_alignment(after, text_rows)),
            ("drift", prior_drift(before, same)),
        ):
            scores.setdefault(name, []).append(value)
    spread = {name: stdev(values) if len(values) > 1 else 0.0 for name, values in scores.items()}
    mean = {name: fmean(values) for name, values in scores.items()}
    return {
        "image_alignment": {"base": mean["image_base"], "concept": mean["image_concept"]},
        "text_alignment": {"base": mean["text_base"], "concept": mean["text_concept"]},
        "prior_drift": mean["drift"],
        "spread": {
            "image_alignment": {"base": spread["image_base"], "concept": spread["image_concept"]},
            "text_alignment": {"base": spread["text_base"], "concept": spread["text_concept"]},
            "prior_drift": spread["drift"],
        },
    }
