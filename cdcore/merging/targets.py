"""The target prompts of all concepts of a merge, and what meeting them exactly takes.

Nothing here makes an update: energies and errors follow from the whitened targets Z and from the
products V V^T of their values.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import torch
from torch import Tensor

from cdcore.merging.caption_statistics import CaptionStatistics
from cdcore.merging.closed_form import gram, least_energy, least_missed, whitened
from cdcore.merging.parts import Part

__all__ = ["Targets"]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Targets:
    """Target prompts of concepts, one concept after another.

    Attributes:
        features: C, (K, d) float32.
        values: V, (K, D) float32, by the concepts' weights.
        whitened: Z, (d, K) float64.
        products: V V^T, (K, K) float64.
        rows: The rows of each concept, in K.
        alone: Change on captions, tr(X A X^T), of meeting those of each concept alone.
    """

    features: Tensor
    values: Tensor
    whitened: Tensor
    products: Tensor
    rows: list[slice]
    alone: list[float]

    @classmethod
    def of(cls, parts: Sequence[Part], statistics: CaptionStatistics) -> "Targets":
        """Gather the targets of concepts."""
        features = torch.cat([part.inputs.constraint.features for part in parts])
        values = torch.cat([part.weight * part.inputs.constraint.values for part in parts])
        targets, products = whitened(features, statistics.factor), gram(values)
        ends = accumulate(len(part.inputs.constraint.features) for part in parts)
        rows = [slice(start, end) for start, end in pairwise([0, *ends])]
        return cls(
            features=features,
            values=values,
            whitened=targets,
            products=products,
            rows=rows,
            alone=[least_energy(targets[:, own], products[own, own]) for own in rows],
        )

    def distinct(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return Z, V V^T and V with equal rows of features as one, of their mean values."""
        places: dict[bytes, list[int]] = {}
        for at, row in enumerate(self.features):
            places.setdefault(row.numpy().tobytes(), []).append(at)
        if len(places) == len(self.features):
            return self.whitened, self.products, self.values
        mean = torch.zeros(len(places), len(self.features), dtype=torch.float64)
        for index, group in enumerate(places.values()):
            mean[index, group] = 1 / len(group)
        first = [group[0] for group in places.values()]
        return (
            self.whitened[:, first],
            mean @ self.products @ mean.T,
            mean.to(self.values) @ self.values,
        )

    def amplification(self, merged: float) -> float:
        """Return the change on captions over that of the concepts alone, root sum of squares.

        Args:
            merged: tr(X A X^T) of an update that meets all.
        """
        alone = sum(self.alone)
        return math.sqrt(merged / alone) if alone > 0 else 1.0

    def missed(self) -> list[float]:
        """Return the share of each concept's values that no update can give it, beside the rest."""
        missed = least_missed(self.whitened, self.products)
        wanted = self.products.diagonal()
        return [math.sqrt(missed[own].sum() / (wanted[own].sum() or 1.0)) for own in self.rows]
