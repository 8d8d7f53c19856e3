"""When a merge is ill-posed, and what to do about it."""

from collections.abc import Sequence
from itertools import combinations

import torch
from torch import Tensor

from cdcore.caption_statistics import CaptionStatistics
from cdcore.card import Card
from cdcore.merge_report import MergeReport
from cdcore.merge_solver import whitened

__all__ = ["check_merge"]

_MOST_AMPLIFICATION = 10.0
"""Two target rows of equal weight reach it at a whitened cosine of 0.995."""
_MOST_RESIDUAL = 0.05
"""Of a constraint that is to be met exactly."""
_MOST_RIDGE_RESIDUAL = 0.5
"""Of what a concept does on its own prompts, when half of it is lost."""


def check_merge(
    report: MergeReport, cards: Sequence[Card], statistics: CaptionStatistics
) -> str | None:
    """Return why a merge should be refused and what to do, or None.

    Args:
        report: Of the merge. A sum promises nothing and is never refused.
        cards: Of the concepts, in the report's order.
        statistics: It was made with.
    """
    limit = {"constrained": _MOST_RESIDUAL, "ridge": _MOST_RIDGE_RESIDUAL}.get(report.method)
    if limit is None:
        return None
    lost = [
        f"{error.name} keeps {100 * (1 - error.constraint):.0f} %"
        for error in report.concepts
        if error.constraint is not None and error.constraint > limit
    ]
    amplified = report.amplification is not None and report.amplification > _MOST_AMPLIFICATION
    if not lost and not amplified:
        return None
    if amplified:
        what = (
            f"it would change ordinary captions {report.amplification:.0f} times as much as the "
            "concepts alone do"
        )
    else:
        what = f"of what they were taught {' and '.join(lost)}"
    if len(cards) < 2:
        return (
            f"ill-posed merge: {what}; the target prompts of {cards[0].name} contradict each "
            "other: train it again, or use the concept itself instead of a merge"
        )
    one, other = _nearest(cards, statistics)
    return (
        f"ill-posed merge: {what}; {one.name} ({one.phrases[0]}) and {other.name} "
        f"({other.phrases[0]}) want different things of nearly equal targets: train one of them "
        "with another token or class noun, or both jointly"
    )


def _nearest(cards: Sequence[Card], statistics: CaptionStatistics) -> tuple[Card, Card]:
    """Return the two concepts whose whitened targets come closest."""
    bases = [_basis(whitened(card.constraint.features, statistics.factor)) for card in cards]
    one, other = max(
        combinations(range(len(cards)), 2),
        key=lambda pair: float(torch.linalg.matrix_norm(bases[pair[0]].T @ bases[pair[1]], ord=2)),
    )
    return cards[one], cards[other]


def _basis(targets: Tensor) -> Tensor:
    basis: Tensor = torch.linalg.qr(targets)[0]
    return basis
