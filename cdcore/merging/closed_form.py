r"""The least-drifting update that meets targets: one small solve per merge, none per layer.

Features ``C`` (K, d) ask for values ``V`` (K, D). Captions have the second moment
``A = F F^T`` (d, d), with ``F`` lower triangular. The update ``X`` (D, d) of least mean square
effect on captions, ``tr(X A X^T)``, follows from ``Z = F^-1 C^T`` (d, K):

    constrained    X C^T = V^T                             X = V^T pinv(Z) F^-1
    ridge          min |X C^T - V^T|^2 + p tr(X A X^T)     X = V^T (Z^T Z + p I)^-1 Z^T F^-1

The first is the merge of Kumari et al. 2023, arXiv 2212.04488, section 3.3; the second lets it give
way, and tends to it as the penalty p goes to 0. With ``Z = U S Y^T`` both are

    X = V^T Y g(S) U^T F^-1,    g(s) = 1/s  or  s / (s^2 + p)

so D enters in one product only, with a small matrix: ``X = (V^T mix) right``.

K target rows, d text width, D rows of the K/V stack, r <= K rank.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = [
    "RANK_TOLERANCE",
    "Solution",
    "applied",
    "gram",
    "least_energy",
    "least_missed",
    "solve",
    "whitened",
]

RANK_TOLERANCE = 1e-3
"""Directions of Z below this share of the largest are not asked for. Files hold half precision
(2^-11 of each number): what such a direction asks for is rounding, magnified a thousandfold."""

_RIDGE_TOLERANCE = 0.02
"""A ridge merge leaves out directions whose filter would pass less than this share."""

_COLUMNS_PER_BLOCK = 16384
"""Rows of D, cast to float64 at once: as many as stay in a processor's cache."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Solution:
    """An update as ``(V^T mix) right``, in float64.

    Attributes:
        mix: (K, r).
        right: (r, d), orthonormal rows.
        filtered: Y g(S), (K, r); ``V^T filtered`` has the Frobenius norm of ``X F``.
        kept: (r,) singular values of Z that were used, largest first.
        dropped: How many were not.
    """

    mix: Tensor
    right: Tensor
    filtered: Tensor
    kept: Tensor
    dropped: int

    @property
    def condition(self) -> float:
        """Largest over smallest singular value in use; how far noise in the values is magnified."""
        return float(self.kept[0] / self.kept[-1])


def whitened(features: Tensor, factor: Tensor) -> Tensor:
    """Return Z = F^-1 C^T, (d, K) float64.

    Args:
        features: C, (K, d).
        factor: F, (d, d) lower triangular, float64, with a positive diagonal.
    """
    targets: Tensor = torch.linalg.solve_triangular(factor, features.double().T, upper=False)
    return targets


def solve(targets: Tensor, factor: Tensor, penalty: float = 0.0) -> Solution:
    """Solve for the update.

    Args:
        targets: Z, (d, K), not all zero.
        factor: F, as for `whitened`.
        penalty: p, at least 0; 0 is the hard constraint.
    """
    kept, filtered, basis, dropped = _filtered(targets, penalty)
    directions = torch.linalg.solve_triangular(factor.T, basis, upper=True)
    orthonormal, scale = torch.linalg.qr(directions)
    return Solution(
        mix=filtered @ scale.T,
        right=orthonormal.T,
        filtered=filtered,
        kept=kept,
        dropped=dropped,
    )


def least_energy(targets: Tensor, values_gram: Tensor) -> float:
    """Return tr(X A X^T) of the constrained update, without making it.

    Args:
        targets: Z, (d, K).
        values_gram: V V^T, (K, K) float64.
    """
    _, filtered, _, _ = _filtered(targets, 0.0)
    return float((filtered.T @ values_gram @ filtered).trace())


def least_missed(targets: Tensor, values_gram: Tensor) -> Tensor:
    """Return how far the constrained update is from each target, without making it.

    Args:
        targets: Z, (d, K).
        values_gram: V V^T, (K, K) float64.

    Returns:
        (K,) squared norms of the rows of V - C X^T.
    """
    kept, filtered, _, _ = _filtered(targets, 0.0)
    met = filtered * kept
    missed = torch.eye(len(met), dtype=met.dtype) - met @ met.T
    return (missed @ values_gram @ missed).diagonal().clamp(min=0)


def applied(mix: Tensor, values: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return ``values.T @ mix``, computed in float64.

    Args:
        mix: (K, r), float64.
        values: (K, D), any floating dtype.
        dtype: The dtype of the result.

    Returns:
        (D, r).
    """
    result = torch.empty(values.shape[1], mix.shape[1], dtype=dtype)
    for columns, rows in zip(
        values.split(_COLUMNS_PER_BLOCK, dim=1), result.split(_COLUMNS_PER_BLOCK), strict=True
    ):
        rows.copy_(columns.double().T @ mix)
    return result


def gram(values: Tensor) -> Tensor:
    """Return ``values @ values.T``, (K, K) float64."""
    total = torch.zeros(len(values), len(values), dtype=torch.float64)
    for columns in values.split(_COLUMNS_PER_BLOCK, dim=1):
        block = columns.double()
        total.addmm_(block, block.T)
    return total


def _filtered(targets: Tensor, penalty: float) -> tuple[Tensor, Tensor, Tensor, int]:
    """Return the singular values in use, Y g(S) (K, r), U (d, r), and how many were left out."""
    basis, triangle = torch.linalg.qr(targets)
    rotation, singular, transposed = torch.linalg.svd(triangle, full_matrices=False)
    if penalty > 0:
        keep = singular.square() / (singular.square() + penalty) >= _RIDGE_TOLERANCE
    else:
        keep = singular > RANK_TOLERANCE * singular[0]
    # A penalty above all that is asked for leaves the strongest direction rather than nothing.
    keep[0] = True
    kept = singular[keep]
    filtered = transposed[: len(kept)].T * (kept / (kept.square() + penalty))
    return kept, filtered, basis @ rotation[:, : len(kept)], len(singular) - len(kept)
