"""What a merge kept of each concept, and what it did to everything else.

Residuals and drift are relative root mean squares, so 0 is perfect and 1 is all of it:

    residual(C)    |C X^T - V| / |V|                       V what the concept alone makes of C
    drift          sqrt(tr(X H X^T) / tr(W0 H W0^T))       H second moment of held-out captions

X the merged update (D, d), W0 the base's K/V stack, C features (s, d).
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from cdcore.concepts.merge_inputs import Rows
from cdcore.merging.caption_statistics import CaptionStatistics
from cdcore.model.update import FactoredUpdate, Update

__all__ = ["ConceptError", "MergeReport", "drift", "residual"]

_ROWS_PER_BLOCK = 16384
"""Rows of D, multiplied at once: as many as stay in a processor's cache."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ConceptError:
    """What became of one concept.

    Attributes:
        name: The name of the concept.
        weight: The weight that it was asked for at.
        phrases: How prompts name its subjects after the merge.
        constraint: Residual on its target prompts, whose features its file holds.
        exact: The same with the features that the base itself gives, in full precision; None where
            the base was not at hand.
        held_out: Residual on its held-out prompts; None where its file has none.
        drift_alone: What meeting its target prompts alone changes on captions, fitted ones, in the
            unit of the drift; None where no targets are met exactly.
    """

    name: str
    weight: float
    phrases: tuple[str, ...]
    constraint: float | None
    held_out: float | None
    drift_alone: float | None
    exact: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class MergeReport:
    """Figures of a merge.

    Attributes:
        method: How it was merged.
        concepts: In the order of the merge.
        drift: On held-out captions.
        captions: How many captions it was fitted to.
        caption_condition: Condition number of their second moment.
        penalty: The penalty of a ridge merge.
        rank: The rank of the update; None for a dense one.
        amplification: Change on fitted captions over that of the concepts alone, root sum of
            squares: 1 where they do not touch, large where nearly equal targets want different
            values.
        target_condition: The condition number of the whitened targets in use.
        dropped: Directions of the targets that were too weak to ask for.
        renamed: New token of each concept's token that collided, as ``name: <old>``.
        notes: What else the user should know.
    """

    method: str
    concepts: tuple[ConceptError, ...]
    drift: float
    captions: int = 0
    caption_condition: float | None = None
    penalty: float | None = None
    rank: int | None = None
    amplification: float | None = None
    target_condition: float | None = None
    dropped: int = 0
    renamed: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return asdict(self)


@torch.no_grad()
def residual(update: Update, rows: Rows, weight: float = 1.0) -> float:
    """Return how far an update is from ``weight`` times the values that a concept wants.

    Args:
        update: X, (D, d), float32 on the CPU.
        rows: C and V.
        weight: The concept's weight; at 0, what remains is measured against the concept itself.
    """
    wanted = float(rows.values.norm()) * (abs(weight) or 1.0)
    missed = 0.0
    match update:
        case FactoredUpdate(pairs=((left, right),)):
            inner = functional.linear(rows.features, right)
            for block, values in zip(
                left.split(_ROWS_PER_BLOCK),
                rows.values.split(_ROWS_PER_BLOCK, dim=1),
                strict=True,
            ):
                error = torch.addmm(values, inner, block.T, beta=-weight)
                missed += float(error.flatten().dot(error.flatten()))
        case _:
            missed = float((update.apply(rows.features) - weight * rows.values).square().sum())
    return math.sqrt(missed) / wanted if wanted > 0 else float(missed > 0)


@torch.no_grad()
def drift(update: Update, statistics: CaptionStatistics) -> float:
    """Return the relative change of keys and values on held-out captions."""
    if isinstance(update, FactoredUpdate):
        change = sum(
            float(((left.T @ left).double() * _through(right, statistics.held_out)).sum())
            for left, right in update.pairs
        )
    else:
        moment = statistics.held_out.float()
        change = sum(
            float(((block @ moment) * block).sum())
            for block in update.dense().split(_ROWS_PER_BLOCK)
        )
    return math.sqrt(max(change, 0.0) / statistics.base_energy)


def _through(right: Tensor, moment: Tensor) -> Tensor:
    """Return ``right @ moment @ right.T``, (r, r) float64."""
    return right.double() @ moment @ right.double().T
