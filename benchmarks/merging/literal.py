"""The published merge, literally: dense matrices, float32, everything solved again in each layer.

Kumari et al. 2023, arXiv 2212.04488, section 3.3: minimise ``|(W - W0) R^T|^2`` subject to
``W T^T = Y^T``, whose solution is ``W = W0 + (Y - T W0^T)^T (T A^-1 T^T)^-1 T A^-1`` with
``A = R^T R``. It is here to be compared with: no tolerance, no conditioning, no shared work.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["literal_layer", "literal_merge"]


def literal_layer(
    base: Tensor, tuned: Sequence[Tensor], targets: Sequence[Tensor], captions: Tensor
) -> Tensor:
    """Merge one matrix.

    Args:
        base: W0, (h, d).
        tuned: W_n (h, d) of each concept: absolute weights.
        targets: T_n (m_n, d) of each concept.
        captions: R, (r, d).

    Returns:
        The merged matrix (h, d).
    """
    rows = torch.cat(list(targets))
    wanted = torch.cat([own @ matrix.T for own, matrix in zip(targets, tuned, strict=True)])
    factors, pivots = torch.linalg.lu_factor(captions.T @ captions)
    solved = torch.stack(
        [torch.linalg.lu_solve(factors, pivots, row[:, None]).squeeze(1) for row in rows]
    )
    multipliers = torch.linalg.inv(solved @ rows.T)
    merged: Tensor = base + (wanted - rows @ base.T).T @ multipliers @ solved
    return merged


def literal_merge(
    base: Sequence[Tensor],
    tuned: Sequence[Sequence[Tensor]],
    targets: Sequence[Tensor],
    captions: Tensor,
) -> list[Tensor]:
    """Merge every matrix of a stack.

    Args:
        base: The matrices (h, d) of the base.
        tuned: Those of each concept.
        targets: T_n (m_n, d) of each concept.
        captions: R, (r, d).
    """
    return [
        literal_layer(matrix, [concept[layer] for concept in tuned], targets, captions)
        for layer, matrix in enumerate(base)
    ]
