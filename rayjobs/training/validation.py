"""Scores during training: what the concept is worth so far, on fewer pictures than at the end.

A sweep compares runs on the way by them. The scores are those of `cdcore.scoring.before_after`, as
a flat mapping that a report of Ray can carry.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cdcore.concepts.concept import Concept
from cdcore.errors import ConfigError
from cdcore.model.base import Base
from cdcore.pocket.networks.judge_embedders import embedder_of
from cdcore.scoring.base_pictures import load_base_pictures
from cdcore.scoring.before_after import PROMPTS, evaluate_concept, joint_metrics
from cdcore.scoring.targets import picture_pixels

if TYPE_CHECKING:
    from rayjobs.training.task import TrainTask

__all__ = ["Validation", "flat_scores"]


class Validation:
    """Scores concepts of one run; what does not change is made once."""

    def __init__(self, base: Base, task: "TrainTask") -> None:
        """Read the judge and the pictures to resemble.

        Args:
            base: Concepts are trained on it.
            task: The task of the run, with a `ScorePlan`.

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
        metrics: As `cdcore.scoring.before_after.joint_metrics` gives them.

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
