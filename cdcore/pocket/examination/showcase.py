"""The showcase: what a base makes of captions, beside the pictures that the captions came from."""

from collections.abc import Callable, Sequence

import torch
from PIL import Image
from torch import Tensor

from cdcore.model.base import Base
from cdcore.pictures.grid import grid
from cdcore.pocket.examination.exam import EXAM_SEED, varied_exam
from cdcore.sampling.pipeline import sample
from cdcore.sampling.request import Request

__all__ = ["generate", "reconstruct", "showcase"]

_ENCODE_BATCH = 32
_LABELS = ("drawn by the world", "through the autoencoder", "generated from the caption")


def generate(
    base: Base, captions: Sequence[str], on_step: Callable[[int, int], None] | None = None
) -> Tensor:
    """Sample a picture for each caption with the base's own settings; its seed is its position.

    Args:
        base: The base.
        captions: B of them.
        on_step: Called with the sampling steps done and all of them.

    Returns:
        Pixels (B, 3, S, S) float32 in [-1, 1] on the CPU.
    """
    profile = base.profile
    requests = [
        Request(
            prompt=caption,
            seed=seed,
            steps=profile.sampling_steps,
            guidance_scale=profile.guidance_scale,
            sampler=profile.sampler,
        )
        for seed, caption in enumerate(captions)
    ]
    return sample(base, requests, on_step=on_step)


def reconstruct(base: Base, pixels: Tensor) -> Tensor:
    """Send pixels (B, 3, S, S) in [-1, 1] through the autoencoder; the best a base can draw.

    Returns:
        Pixels of the same shape, float32 in [-1, 1] on the CPU.
    """
    factor = base.autoencoder.config.scaling_factor
    parts = []
    for part in pixels.split(_ENCODE_BATCH):
        mean, _ = base.encode_pixels(part.to(base.device))
        parts.append(base.decode_latents(mean * factor).cpu())
    return torch.cat(parts)


def showcase(base: Base, *, seed: int = EXAM_SEED) -> Image.Image:
    """Lay out eight varied captions of a world and three pictures for each.

    Args:
        base: The base.
        seed: Which world.

    Returns:
        A grid: a column for each caption; the rows are the world's own picture, the picture
        through the autoencoder, and the generated one.
    """
    exam = varied_exam(seed)
    rows = (exam.pixels, reconstruct(base, exam.pixels), generate(base, exam.captions))
    return grid(rows, columns=exam.captions, labels=_LABELS)
