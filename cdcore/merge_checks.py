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
_MOST_CONSTRAINT = 0.05
"""Residual of target prompts that are to be met exactly."""
_MOST_HELD_OUT = 0.98
"""Residual of a ridge merge on held-out prompts, of which no update at all has 1. Pictures keep
more than a third of what keys and values add to a token until then (docs/merging.md)."""


def check_merge(
    report: MergeReport, cards: Sequence[Card], statistics: CaptionStatistics
) -> str | None:
    """Return why a merge should be refused and what to do, or None.

    Args:
        report: Of the merge. A sum promises nothing and is never refused.
        cards: Of the concepts, in the report's order.
        statistics: It was made with.
    """
    lost = _lost(report)
    amplified = report.amplification is not None and report.amplification > _MOST_AMPLIFICATION
    if not lost and not amplified:
        return None
    if amplified:
        what = (
            f"meeting its targets would change ordinary captions {report.amplification:.0f} times "
            "as much as the concepts alone do"
        )
    else:
        what = f"it would miss {' and '.join(lost)}"
    if report.method == "ridge":
        too_weak = max(error.held_out or 0.0 for error in report.concepts) > 1
        return (
            f"ill-posed merge: {what} on prompts it was not fitted to; merge with a penalty "
            f"{'above' if too_weak else 'below'} {report.penalty:g}, or by method constrained"
        )
    if len(cards) < 2:
        return f"ill-posed merge: {what}, alone as it is; use the concept itself instead of a merge"
    one, other = _nearest(cards, statistics)
    return (
        f"ill-posed merge: {what}; {one.name} ({one.phrases[0]}) and {other.name} "
        f"({other.phrases[0]}) want different things of nearly equal targets: train one of them "
        "with another token or class noun, or both jointly"
    )


def _lost(report: MergeReport) -> list[str]:
    """Return the concepts that a merge would miss, with how much of each."""
    match report.method:
        case "constrained":
            errors = [(error.name, error.constraint, _MOST_CONSTRAINT) for error in report.concepts]
        case "ridge":
            errors = [(error.name, error.held_out, _MOST_HELD_OUT) for error in report.concepts]
        case _:
            errors = []
    return [
        f"{name} by {100 * error:.0f} %"
        for name, error, most in errors
        if error is not None and error > most
    ]


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
