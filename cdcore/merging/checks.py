"""When a merge is ill-posed, and what to do about it."""

from collections.abc import Sequence
from itertools import combinations

import torch
from torch import Tensor

from cdcore.concepts.merge_inputs import MergeInputs
from cdcore.merging.caption_statistics import CaptionStatistics
from cdcore.merging.closed_form import whitened
from cdcore.merging.report import MergeReport

__all__ = ["check_merge", "precision_notes"]

_MOST_AMPLIFICATION = 10.0
"""Two target rows of equal weight reach it at a whitened cosine of 0.995."""
_MOST_CONSTRAINT = 0.05
"""Residual of target prompts that are to be met exactly."""
_MOST_HELD_OUT = 0.98
"""Residual of a ridge merge on held-out prompts, of which no update at all has 1. Pictures keep
a third of what keys and values add to a token until then (docs/merging.md, which is best)."""
_OVERFITTED = 1.02
"""Above it a ridge merge does harm where it was not fitted; below, it does hardly anything."""

_COARSE = (
    "{} has features in bfloat16, as earlier versions saved them on a GPU, and a merge may miss "
    "what it teaches by a quarter; merge with its base at hand, which computes them again"
)
_ROUNDED = (
    "the files round what their target prompts are, and as the base reads them the merge misses "
    "{}; merge by ridge where that is too much"
)


def check_merge(
    report: MergeReport, all_inputs: Sequence[MergeInputs], statistics: CaptionStatistics
) -> str | None:
    """Return why a merge should be refused and what to do, or None.

    Args:
        report: The report of the merge. A sum promises nothing and is never refused.
        all_inputs: The merge inputs of the concepts, in the report's order.
        statistics: The statistics that the merge was made with.
    """
    match report.method:
        case "constrained":
            reason = _unmet(report)
            return reason and f"ill-posed merge: {reason}{_remedy(all_inputs, statistics)}"
        case "ridge":
            return _unfitted(report)
        case _:
            return None


def precision_notes(report: MergeReport, all_inputs: Sequence[MergeInputs]) -> list[str]:
    """Return what roundings in the files do to a merge that does what it promises by the files.

    Args:
        report: The report of the merge.
        all_inputs: The merge inputs of the concepts, in the report's order.
    """
    notes = [_COARSE.format(inputs.name) for inputs in all_inputs if inputs.is_coarse]
    if report.method == "constrained":
        errors = [error.exact for error in report.concepts]
        missed = _missed(report, errors, _MOST_CONSTRAINT)
        notes += [_ROUNDED.format(" and ".join(missed))] if missed else []
    return notes


def _unmet(report: MergeReport) -> str | None:
    """Return what keeps the target prompts of a constrained merge from being met, if anything."""
    if report.amplification is not None and report.amplification > _MOST_AMPLIFICATION:
        return (
            f"to meet its targets would change ordinary captions {report.amplification:.0f} times "
            "as much as the concepts alone do"
        )
    missed = _missed(report, [error.constraint for error in report.concepts], _MOST_CONSTRAINT)
    return f"its targets cannot all be met, {' and '.join(missed)} missed" if missed else None


def _remedy(all_inputs: Sequence[MergeInputs], statistics: CaptionStatistics) -> str:
    if len(all_inputs) < 2:
        return ", alone as it is; use the concept itself instead of a merge"
    one, other = _nearest(all_inputs, statistics)
    return (
        f"; {one.name} ({one.phrases[0]}) and {other.name} ({other.phrases[0]}) want different "
        "things of nearly equal targets: train one of them with another token or class noun, or "
        "both jointly"
    )


def _unfitted(report: MergeReport) -> str | None:
    """Return why a ridge merge is no better than none, if it is not."""
    errors = [error.held_out for error in report.concepts]
    missed = _missed(report, errors, _MOST_HELD_OUT)
    if not missed:
        return None
    overfitted = _missed(report, errors, _OVERFITTED)
    return (
        f"ill-posed merge: {' and '.join(missed)} missed on prompts that it was not fitted to; "
        f"merge with a penalty {'above' if overfitted else 'below'} {report.penalty:g}, or by "
        "method constrained, which promises the target prompts alone"
    )


def _missed(report: MergeReport, errors: Sequence[float | None], most: float) -> list[str]:
    """Return the concepts missed by more than ``most`` of the largest weight, with how much.

    Others disturb a concept of small weight as much as one of large weight; against the little that
    it asks for itself, that would always look like a loss.
    """
    weights = [abs(error.weight) or 1.0 for error in report.concepts]
    return [
        f"{concept.name} by {100 * error:.0f} %"
        for concept, error, weight in zip(report.concepts, errors, weights, strict=True)
        if error is not None and not error * weight / max(weights) <= most
    ]


def _nearest(
    all_inputs: Sequence[MergeInputs], statistics: CaptionStatistics
) -> tuple[MergeInputs, MergeInputs]:
    """Return the two concepts whose whitened targets come closest."""
    bases = [
        _basis(whitened(inputs.constraint.features, statistics.factor)) for inputs in all_inputs
    ]
    one, other = max(
        combinations(range(len(all_inputs)), 2),
        key=lambda pair: float(torch.linalg.matrix_norm(bases[pair[0]].T @ bases[pair[1]], ord=2)),
    )
    return all_inputs[one], all_inputs[other]


def _basis(targets: Tensor) -> Tensor:
    basis: Tensor = torch.linalg.qr(targets)[0]
    return basis
