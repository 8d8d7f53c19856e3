"""The race: how long each recipe trains until its concept is as good as the other's.

The finish is the stock recipe's image alignment after all of its steps. Only training is on the
clock, not the scoring between its pieces; what this project prepares before is timed apart.
Alignments are those of Kumari et al. 2023, section 4, by an embedder that the base was not trained
with, on the same prompts and sampling seeds every time.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

import torch

from benchmarks.common.timing import synchronized
from benchmarks.recipes.recipe import Recipe
from cdcore.concepts.concept import Concept
from cdcore.model.base import Base
from cdcore.sampling.pipeline import sample
from cdcore.sampling.request import Request
from cdcore.scoring.before_after import PROMPTS
from cdcore.scoring.embedder import Embedder
from cdcore.scoring.metrics import image_alignment, prior_drift, text_alignment

__all__ = ["Heat", "Point", "Scorer", "best_rate", "lap", "median_share"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """A concept after some training.

    Attributes:
        steps: The steps that were trained.
        seconds: The time of training alone.
        image_alignment: The alignment with the pictures of the subject.
        text_alignment: The alignment with the prompts, the class noun in place of the concept.
        prior_drift: The distance from the base's own pictures of the prompts with the class noun.
    """

    steps: int
    seconds: float
    image_alignment: float
    text_alignment: float
    prior_drift: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Heat:
    """One seed's race.

    Attributes:
        seed: The seed of the training.
        preparation: Seconds that this project's recipe takes before its first step.
        ours: This project's recipe on its way, at least one point.
        stock: The stock recipe after all of its steps.
    """

    seed: int
    preparation: float
    ours: Sequence[Point]
    stock: Point

    @property
    def finish(self) -> Point | None:
        """Where this project's recipe first is as good as the stock recipe; None if it never is."""
        reached = (p for p in self.ours if p.image_alignment >= self.stock.image_alignment)
        return next(reached, None)

    def share(self, *, with_preparation: bool) -> float | None:
        """Return the seconds to the finish over those of the stock recipe; None without one."""
        if self.finish is None:
            return None
        more = self.preparation if with_preparation else 0.0
        return (self.finish.seconds + more) / self.stock.seconds


class Scorer:
    """Scores a concept by pictures of it: the same prompts and seeds every time."""

    def __init__(
        self,
        base: Base,
        embedder: Embedder,
        targets: torch.Tensor,
        seeds: Sequence[int],
        class_noun: str,
    ) -> None:
        """Embed what concepts are compared with.

        Args:
            base: Samples; its own, with frozen weights.
            embedder: Embeds what is scored.
            targets: Pixels (M, 3, S, S) of the subject.
            seeds: A picture for each seed and prompt.
            class_noun: The class noun of the subject.
        """
        self._base, self._embedder, self._seeds = base, embedder, tuple(seeds)
        self._class_noun = class_noun
        texts = [prompt.format(class_noun) for prompt in PROMPTS] * len(self._seeds)
        with torch.no_grad():
            self._targets = embedder.embed_pictures(targets)
            self._texts = embedder.embed_texts(texts)
            self._before = self._embedded(class_noun)

    @torch.no_grad()
    def score(self, concept: Concept, steps: int, seconds: float) -> Point:
        """Sample and score a concept after ``steps`` and ``seconds`` of training."""
        (subject,) = concept.subjects
        changes = {"update": concept.update.to(self._base.device), "tokens": concept.tokens}
        shown = self._embedded(subject.phrase, **changes)
        after = self._embedded(self._class_noun, **changes)
        return Point(
            steps=steps,
            seconds=seconds,
            image_alignment=image_alignment(shown, self._targets),
            text_alignment=text_alignment(shown, self._texts),
            prior_drift=prior_drift(self._before, after),
        )

    def _embedded(self, phrase: str, **changes: Any) -> torch.Tensor:
        requests = [
            Request.of_profile(self._base, prompt.format(phrase), seed, **changes)
            for seed in self._seeds
            for prompt in PROMPTS
        ]
        return self._embedder.embed_pictures(sample(self._base, requests))


def lap(recipe: Recipe, scorer: Scorer, device: torch.device, stops: Sequence[int]) -> list[Point]:
    """Train a recipe and score it on the way.

    Args:
        recipe: At its start.
        scorer: Not on the clock.
        device: The recipe's.
        stops: Steps after which to score, rising, the last being the end.
    """
    points, seconds, done = [], 0.0, 0
    for stop in stops:
        seconds += synchronized(device, partial(recipe.advance, stop - done))
        done = stop
        points.append(scorer.score(recipe.concept(), done, seconds))
    return points


def best_rate(
    rates: Sequence[float], finish: Callable[[float], Point]
) -> tuple[float, list[Point]]:
    """Return the learning rate whose alignments, of image and text, sum to most, and all results.

    The image alignment alone would choose a rate that has forgotten what prompts say.

    Args:
        rates: At least one.
        finish: Trains with a rate and scores the end.
    """
    points = [finish(rate) for rate in rates]
    sums = [point.image_alignment + point.text_alignment for point in points]
    return rates[sums.index(max(sums))], points


def median_share(heats: Sequence[Heat], *, with_preparation: bool) -> float | None:
    """Return the median of the heats' shares; None when one of them was never finished."""
    shares = [heat.share(with_preparation=with_preparation) for heat in heats]
    known = [share for share in shares if share is not None]
    return median(known) if len(known) == len(shares) else None
