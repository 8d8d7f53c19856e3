"""Classifier-free guidance (Ho and Salimans 2022, arXiv 2207.12598) of rows.

It decides how two predictions of a row become one; each row has its own scale.
"""

import torch
from torch import Tensor

__all__ = ["guided"]


def guided(unconditional: Tensor, conditional: Tensor, guidance_scale: Tensor) -> Tensor:
    """Classifier-free guidance, Ho and Salimans 2022 (arXiv 2207.12598), a scale for each row.

    Args:
        unconditional: Predictions for the empty or negative prompt, shape (B, ...).
        conditional: Predictions for the prompt, same shape.
        guidance_scale: Shape (B,); 1 returns ``conditional`` exactly.

    Returns:
        ``unconditional + guidance_scale * (conditional - unconditional)``, at least float32.
    """
    dtype = torch.promote_types(conditional.dtype, torch.float32)
    towards = conditional.to(dtype)
    excess = (guidance_scale.to(dtype) - 1).view(-1, *[1] * (conditional.ndim - 1))
    # Written from the conditional end, so that a scale of 1 costs no rounding.
    return towards + excess * (towards - unconditional.to(dtype))
