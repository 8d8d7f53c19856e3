"""The goal of a sweep: what makes one run better than another.

Scores are cosines of a judge that the base was not trained with. With I and T the alignment with
the pictures and the prompts, T0 that of the base, D the prior drift, f the floor and c the ceiling:

    floor     T >= T0 - (1 - f) |T0|         for T0 > 0 this is T >= f T0
    ceiling   D <= c
    value     I                              where both hold
              -1 - (missing T) - (excess D)  where they do not

I is at least -1, so any run that keeps to both is better than any that does not, and of those that
do not the one that is nearest to it comes first. Plain Python: no Ray, no model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cdcore.errors import ConfigError

__all__ = ["AXES", "VALUE", "Goal", "pareto_front"]

Scores = Mapping[str, float]
"""The scores that `rayjobs.training.validation.flat_scores` gives."""

AXES = {"image_alignment": "max", "text_alignment": "max", "prior_drift": "min"}
"""The scores that a Pareto front is over, and which way each is better."""

VALUE = "goal"
"""Name of the value among the scores that a trial reports."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Goal:
    """Image alignment, as high as it goes within two bounds.

    Attributes:
        text_floor: Share of the base's text alignment that must be kept, from 0 to 1.
        drift_ceiling: Largest prior drift, a cosine distance from 0 to 2.

    Raises:
        ConfigError: A bound is out of its range.
    """

    text_floor: float
    drift_ceiling: float

    def __post_init__(self) -> None:
        """Refuse impossible bounds."""
        for name, most in (("text_floor", 1), ("drift_ceiling", 2)):
            if not 0 <= getattr(self, name) <= most:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected from 0 to {most}")

    def least_text_alignment(self, scores: Scores) -> float:
        """Return the floor of the text alignment, for the base of these scores."""
        base = scores["base_text_alignment"]
        return base - (1 - self.text_floor) * abs(base)

    def violation(self, scores: Scores) -> float:
        """Return by how much both bounds together are missed; 0 where they are kept."""
        missing = self.least_text_alignment(scores) - scores["text_alignment"]
        excess = scores["prior_drift"] - self.drift_ceiling
        return max(missing, 0.0) + max(excess, 0.0)

    def value(self, scores: Scores) -> float:
        """Return what a sweep makes as large as it can."""
        violation = self.violation(scores)
        return scores["image_alignment"] if violation == 0 else -1 - violation


def pareto_front(scores: Sequence[Scores]) -> list[int]:
    """Return the indices of those that no other one beats, in order.

    One beats another when it is at least as good on all `AXES`, and better on one.
    """
    points = [
        tuple(one[name] * (1 if mode == "max" else -1) for name, mode in AXES.items())
        for one in scores
    ]
    return [
        index
        for index, point in enumerate(points)
        if not any(
            other != point and all(a >= b for a, b in zip(other, point, strict=True))
            for other in points
        )
    ]
