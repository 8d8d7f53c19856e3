"""Regularization pictures: what the base itself makes of the class, kept between runs.

They live in ``<cache>/regularization/<key>/NNNNN.png``. The key covers everything that decides a
picture but for the device: a GPU's differ from a CPU's by the rounding of the U-Net, and are as
good. A batch is written as soon as it is made: an interrupted run goes on where it stopped, and a
second run makes none.
"""

from collections.abc import Callable
from pathlib import Path

from cdcore.model.base import Base
from cdcore.pictures.picture_folder import Picture, read_pictures
from cdcore.pictures.png import save_picture
from cdcore.sampling.pipeline import sample
from cdcore.sampling.request import Request
from cdcore.training.latent_cache import cache_key

__all__ = ["PICTURES_AT_ONCE", "regularization_folder", "regularization_pictures"]

PICTURES_AT_ONCE = 32
"""Pictures that are sampled together, and written before the next ones."""


def regularization_folder(base: Base, class_prompt: str, cache: Path) -> Path:
    """Return the folder of the pictures of a prompt; the number of pictures is not part of it."""
    profile = base.profile
    key = cache_key(
        base=base.fingerprint,
        autoencoder=base.autoencoder_fingerprint,
        prompt=class_prompt,
        sampler=profile.sampler,
        steps=profile.sampling_steps,
        guidance_scale=profile.guidance_scale,
        resolution=profile.resolution,
    )
    return cache / "regularization" / key[:32]


def regularization_pictures(
    base: Base,
    class_prompt: str,
    count: int,
    cache: Path,
    *,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[Picture]:
    """Return ``count`` pictures of the class, generating those that the cache lacks.

    Args:
        base: Generates them, with its profile's sampler, steps and guidance.
        class_prompt: The prompt of all of them; picture n has seed n.
        count: How many.
        cache: Root of the caches.
        on_progress: Called with the pictures there are and ``count`` after each batch.

    Raises:
        OSError: The cache cannot be written.
        PictureError: A cached picture is damaged.
    """
    folder = regularization_folder(base, class_prompt, cache)
    folder.mkdir(parents=True, exist_ok=True)
    missing = [seed for seed in range(count) if not _path(folder, seed).exists()]
    for start in range(0, len(missing), PICTURES_AT_ONCE):
        seeds = missing[start : start + PICTURES_AT_ONCE]
        requests = [Request.of_profile(base, class_prompt, seed) for seed in seeds]
        for seed, pixels in zip(seeds, sample(base, requests), strict=True):
            save_picture(
                _path(folder, seed),
                pixels,
                {"prompt": class_prompt, "seed": seed, "base": base.name},
            )
        if on_progress is not None:
            on_progress(count - len(missing) + start + len(seeds), count)
    return read_pictures(folder)[:count]


def _path(folder: Path, seed: int) -> Path:
    return folder / f"{seed:05d}.png"
