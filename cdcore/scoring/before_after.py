"""Evaluation of a concept: the base and the concept on the same prompts and seeds.

A concept of several subjects is evaluated subject by subject, and two subjects at a time on prompts
that name both. P prompts, S seeds.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

import torch
from torch import Tensor

from cdcore.concepts.concept import Concept
from cdcore.concepts.subject import Subject
from cdcore.model.base import Base
from cdcore.model.update import Update
from cdcore.sampling.pipeline import sample
from cdcore.sampling.request import Request
from cdcore.scoring.embedder import Embedder
from cdcore.scoring.metrics import image_alignment, prior_drift, text_alignment

__all__ = [
    "PAIR_PROMPTS",
    "PROMPTS",
    "Evaluation",
    "evaluate_concept",
    "evaluate_pair",
    "joint_metrics",
]

PROMPTS = (
    "photo of a {}",
    "a {} on the beach",
    "a {} in the snow",
    "a {} at night",
    "a {} in the forest",
    "a {} in a room",
)
"""Prompts with a place for a subject."""

PAIR_PROMPTS = (
    "a {} next to a {}",
    "photo of a {} and a {}",
    "a {} next to a {} on the beach",
    "a {} next to a {} in the snow",
)
"""Prompts with places for two subjects."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Evaluation:
    """Samples of the base and of the concept, and what they score.

    Attributes:
        label: The phrases of the subjects in question, such as ``<mycat> cat``.
        prompts: P prompts as the concept saw them.
        seeds: S sampling seeds.
        base: (S, P, 3, H, W) pixels of the class nouns without the concept.
        concept: (S, P, 3, H, W) pixels of the phrases with the concept.
        scores: Each score by name, one value for each seed; empty without an embedder.
    """

    label: str
    prompts: tuple[str, ...]
    seeds: tuple[int, ...]
    base: Tensor
    concept: Tensor
    scores: Mapping[str, Sequence[float]]

    @property
    def metrics(self) -> dict[str, Any]:
        """Figures for people and programs.

        ``image_alignment`` and ``text_alignment`` of both, ``prior_drift``, each with the spread
        over seeds; empty without an embedder.
        """
        return _figures(self.scores) if self.scores else {}


def evaluate_concept(  # noqa: PLR0913 - most are keywords
    base: Base,
    concept: Concept,
    targets: Tensor,
    *,
    embedder: Embedder | None,
    seeds: Sequence[int],
    subject: int = 0,
    prompts: Sequence[str] = PROMPTS,
    before: Tensor | None = None,
    on_step: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Sample the prompts of one subject with and without the concept, and score both.

    Text alignment is scored against the prompt with the class noun alone. The drift is between the
    base's pictures and the concept's of the same prompts without the modifier token.

    Args:
        base: The base model.
        concept: Trained on it.
        targets: Pixels (M, 3, S, S) of the pictures to resemble.
        embedder: Scores; None samples only.
        seeds: A picture for each seed and prompt.
        subject: Index of the subject.
        prompts: With "{}" for the subject.
        before: The base's own pictures (S, P, 3, H, W) of these prompts and seeds, where they are
            known; such as `Evaluation.base` of an earlier evaluation.
        on_step: Called with the sampling steps done and all of them.
    """
    scope = _Scope(base=base, concept=concept, subjects=(concept.subjects[subject],))
    pixels = scope.sample(prompts, seeds, on_step, before)
    return _evaluated(scope, [targets], prompts, embedder, seeds, pixels)


def evaluate_pair(  # noqa: PLR0913 - most are keywords
    base: Base,
    concept: Concept,
    targets: tuple[Tensor, Tensor],
    *,
    embedder: Embedder | None,
    seeds: Sequence[int],
    pair: tuple[int, int] = (0, 1),
    prompts: Sequence[str] = PAIR_PROMPTS,
    on_step: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Sample prompts that name two subjects, as `evaluate_concept` does those of one.

    Image alignment is the mean of that with the one's pictures and that with the other's: a picture
    that shows only one of them scores high on half of it.

    Args:
        base: The base model.
        concept: A concept of two subjects or more.
        targets: Pixels (M, 3, S, S) of the pictures to resemble, of either subject.
        embedder: Scores; None samples only.
        seeds: A picture for each seed and prompt.
        pair: Indices of the two subjects.
        prompts: With two "{}" for the subjects.
        on_step: Called with the sampling steps done and all of them.
    """
    subjects = tuple(concept.subjects[number] for number in pair)
    scope = _Scope(base=base, concept=concept, subjects=subjects)
    pixels = scope.sample(prompts, seeds, on_step)
    return _evaluated(scope, targets, prompts, embedder, seeds, pixels)


def joint_metrics(subjects: Sequence[Evaluation], pairs: Sequence[Evaluation]) -> dict[str, Any]:
    """Bring the figures of a concept together.

    Args:
        subjects: One evaluation for each subject, over the same seeds.
        pairs: Evaluations of two subjects at a time.

    Returns:
        For one subject its own metrics. For several the same figures as means over the subjects,
        with each subject's own under ``subjects`` and each pair's under ``pairs``, by label. Empty
        without scores.
    """
    if len(subjects) == 1 or not subjects[0].scores:
        return subjects[0].metrics
    names = subjects[0].scores
    mean = {
        name: [
            fmean(of_seed) for of_seed in zip(*(one.scores[name] for one in subjects), strict=True)
        ]
        for name in names
    }
    return {
        **_figures(mean),
        "subjects": {one.label: one.metrics for one in subjects},
        "pairs": {both.label: both.metrics for both in pairs},
    }


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Scope:
    """What is evaluated: some subjects of a concept."""

    base: Base
    concept: Concept
    subjects: tuple[Subject, ...]

    def sample(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        on_step: Callable[[int, int], None] | None,
        before: Tensor | None = None,
    ) -> Tensor:
        """Return pixels (3, S, P, 3, H, W): of the base, of the concept, of it without tokens."""
        plain, named = self.plain(prompts), self.named(prompts)
        # Moved once: rows that share one update object share one projection.
        update = self.concept.update.to(self.base.device)
        kinds: list[tuple[list[str], Update | None]] = [(named, update), (plain, update)]
        if before is None:
            kinds.insert(0, (plain, None))
        requests = [
            Request.of_profile(
                self.base,
                text,
                seed,
                update=used,
                tokens=None if used is None else self.concept.tokens,
            )
            for texts, used in kinds
            for seed in seeds
            for text in texts
        ]
        pixels = sample(self.base, requests, on_step=on_step)
        pixels = pixels.view(len(kinds), len(seeds), len(prompts), *pixels.shape[1:])
        return pixels if before is None else torch.cat([before[None].to(pixels), pixels])

    def plain(self, prompts: Sequence[str]) -> list[str]:
        """Put the class nouns into prompts."""
        nouns = [subject.class_noun for subject in self.subjects]
        return [prompt.format(*nouns) for prompt in prompts]

    def named(self, prompts: Sequence[str]) -> list[str]:
        """Put the phrases into prompts."""
        phrases = [subject.phrase for subject in self.subjects]
        return [prompt.format(*phrases) for prompt in prompts]


def _evaluated(
    scope: _Scope,
    targets: Sequence[Tensor],
    prompts: Sequence[str],
    embedder: Embedder | None,
    seeds: Sequence[int],
    pixels: Tensor,
) -> Evaluation:
    return Evaluation(
        label=" and ".join(subject.phrase for subject in scope.subjects),
        prompts=tuple(scope.named(prompts)),
        seeds=tuple(seeds),
        base=pixels[0],
        concept=pixels[1],
        scores={} if embedder is None else _score(embedder, pixels, targets, scope.plain(prompts)),
    )


@torch.no_grad()
def _score(
    embedder: Embedder, pixels: Tensor, targets: Sequence[Tensor], prompts: list[str]
) -> dict[str, list[float]]:
    target_rows = [embedder.embed_pictures(pictures) for pictures in targets]
    text_rows = embedder.embed_texts(prompts)
    scores: dict[str, list[float]] = {}
    for plain, named, kept in zip(*pixels, strict=True):
        before, after, same = (embedder.embed_pictures(part) for part in (plain, named, kept))
        for name, value in (
            ("image_base", fmean(image_alignment(before, rows) for rows in target_rows)),
            ("image_concept", fmean(image_alignment(after, rows) for rows in target_rows)),
            ("text_base", text_alignment(before, text_rows)),
            ("text_concept", text_alignment(after, text_rows)),
            ("drift", prior_drift(before, same)),
        ):
            scores.setdefault(name, []).append(value)
    return scores


def _figures(scores: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Return the mean and the spread over seeds."""
    spread = {name: stdev(values) if len(values) > 1 else 0.0 for name, values in scores.items()}
    return _by_side({name: fmean(values) for name, values in scores.items()}) | {
        "spread": _by_side(spread)
    }


def _by_side(values: Mapping[str, float]) -> dict[str, Any]:
    return {
        "image_alignment": {"base": values["image_base"], "concept": values["image_concept"]},
        "text_alignment": {"base": values["text_base"], "concept": values["text_concept"]},
        "prior_drift": values["drift"],
    }
