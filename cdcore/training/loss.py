"""The training objective: the masked denoising error of each row.

Ho et al. 2020 (arXiv 2006.11239), equation 14, with the valid mask of Kumari et al. 2023,
section 3.2.
"""

from torch import Tensor

__all__ = ["row_losses"]


def row_losses(prediction: Tensor, target: Tensor, valid_mask: Tensor) -> Tensor:
    """Return each row's mean squared error over its valid latent elements.

    Args:
        prediction: (B, C, h, w).
        target: (B, C, h, w).
        valid_mask: (B, 1, h, w) in {0, 1}, at least one 1 in each row.

    Returns:
        (B,), float32 or better; a per-element mean for every kind of row.
    """
    error = (prediction.to(target.dtype) - target).square() * valid_mask
    valid = valid_mask.sum(dim=(1, 2, 3)) * prediction.shape[1]
    return error.sum(dim=(1, 2, 3)) / valid
