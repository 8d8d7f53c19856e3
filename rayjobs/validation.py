"""Scores during training: what the concept is worth so far, on fewer pictures than at the end.

A sweep compares runs on the way by them. The scores are those of `cdcore.evaluation`, as a flat
mapping that a report of Ray can carry.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cdcore.base import Base
from cdcore.concept import Concept
from cdcore.errors import ConfigError
from cdcore.evaluation import PROMPTS, evaluate_concept, joint_metrics
from rayjobs.base_pictures import load_base_pictures
from rayjobs.finish import embedder_of, picture_pixels

if TYPE_CHECKING:
    from rayjobs.train_worker import TrainTask

__all__ = ["ScorePlan", "Validation", "flat_scores"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ScorePlan:
    """When a run is scored on the way, and on what.

    Attributes:
        every: Steps between scores, at least 1; the end is always scored, on everything.
        prompts: How many of `PROMPTS` are sampled on the way, from the first on.
        seeds: How many of the run's sample seeds, from the first on.
        base_pictures: File of `rayjobs.base_pictures` for these seeds; None samples them here.
    """

    every: int
    prompts: int
    seeds: int
    base_pictures: Path | None = None

    def is_due(self, step: int, steps: int) -> bool:
        """Whether a run of ``steps`` steps is scored on the way after ``step`` of them."""
        return step % self.every == 0 and step < steps


class Validation:
    """Scores concepts of one run; what does not change is made once."""

    def __init__(self, base: Base, task: "TrainTask") -> None:
        """Read the judge and the pictures to resemble.

        Args:
            base: Concepts are trained on it.
            task: Of the run, with a `ScorePlan`.

        Raises:
            ConfigError: Nothing here can judge pictures of this base.
        """
        plan = task.scoring
        assert plan is not None
        embedder = embedder_of(base)
        if embedder is None:
            raise ConfigError(
                f"there is no judge for pictures of {base.name!r}, so runs on it cannot be compared"
            )
        self._base, self._embedder = base, embedder
        self._targets = [picture_pixels(base, shown) for shown in task.targets]
        self._prompts, self._seeds = PROMPTS[: plan.prompts], task.sample_seeds[: plan.seeds]
        self._before: list[Any] = [None] * len(self._targets)
        if plan.base_pictures is not None:
            known = load_base_pictures(plan.base_pictures)
            self._before = list(known[:, : len(self._seeds), : len(self._prompts)])

    def scores(self, concept: Concept) -> dict[str, float]:
        """Score a concept as it is now; means over its subjects, see `flat_scores`."""
        evaluations = []
        for number, targets in enumerate(self._targets):
            evaluation = evaluate_concept(
                self._base,
                concept,
                targets,
                embedder=self._embedder,
                seeds=self._seeds,
                subject=number,
                prompts=self._prompts,
                before=self._before[number],
            )
            self._before[number] = evaluation.base
            evaluations.append(evaluation)
        return flat_scores(joint_metrics(evaluations, []))


def flat_scores(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return the headline figures of an evaluation by one name each.

    Args:
        metrics: As `cdcore.evaluation.joint_metrics` gives them.

    Returns:
        ``image_alignment``, ``text_alignment`` and ``prior_drift`` of the concept, and
        ``base_image_alignment`` and ``base_text_alignment``; empty without scores.
    """
    if not metrics:
        return {}
    image, text = metrics["image_alignment"], metrics["text_alignment"]
    return {
        "image_alignment": image["concept"],
        "text_alignment": text["concept"],
        "prior_drift": metrics["prior_drift"],
        "base_image_alignment": image["base"],
        "base_text_alignment": text["base"],
    }
