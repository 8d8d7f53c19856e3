"""Quality figures from embeddings: rows of length 1, (N, d)."""

from torch import Tensor

__all__ = ["CLIP_SCORE_FACTOR", "clip_score", "image_alignment", "prior_drift", "text_alignment"]

CLIP_SCORE_FACTOR = 2.5
"""w of Hessel et al. 2021 (CLIPScore, arXiv 2104.08718), equation in section 3."""


def image_alignment(generated: Tensor, targets: Tensor) -> float:
    """Return the mean cosine over all pairs of generated (N, d) and target pictures (M, d).

    Kumari et al. 2023, section 4, after Gal et al. 2022 (arXiv 2208.01618).
    """
    return float((generated @ targets.T).mean())


def text_alignment(generated: Tensor, prompts: Tensor) -> float:
    """Return the mean cosine of each picture (N, d) and its own prompt (N, d)."""
    return float((generated * prompts).sum(dim=-1).mean())


def clip_score(generated: Tensor, prompts: Tensor) -> float:
    """Return the mean CLIPScore of each picture (N, d) and its own prompt (N, d), in [0, 2.5].

    It is w max(cos, 0) with w = 2.5: the convention of the published tables. A mean cosine times
    2.5 is less wherever a picture's cosine is negative.
    """
    cosines = (generated * prompts).sum(dim=-1)
    return float(CLIP_SCORE_FACTOR * cosines.clamp(min=0).mean())


def prior_drift(before: Tensor, after: Tensor) -> float:
    """Return the mean cosine distance of pictures with equal prompts and seeds, (N, d) each.

    0 means that what has nothing to do with the concept is as it was.
    """
    return float(1 - (before * after).sum(dim=-1).mean())
