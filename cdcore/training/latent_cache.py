"""The latent cache: VAE posteriors of augmented pictures, in Arrow files keyed by content.

The rows come from `cdcore.training.latent_rows`. With z the latents and eps standard normal noise,

    z = (mean + std * eps) * scaling_factor

so keeping mean and std keeps the sampling random while the VAE runs once per row. Both are stored
in float16 and read through a memory map: only the rows that a step gathers are touched.

B rows, C latent channels, (h, w) latent cells.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor

from cdcore.training.latent_file import (
    SCHEMA_VERSION,
    Shape,
    UnusableCacheError,
    map_latent_file,
    write_latent_file,
)
from cdcore.training.latent_rows import LatentRow

__all__ = ["LatentCache", "LatentRows", "build_latent_cache", "cache_key", "open_or_build"]


@dataclass(frozen=True, kw_only=True, slots=True)
class LatentRows:
    """B gathered rows, float32 on the CPU, not shared with the file.

    Attributes:
        mean: (B, C, h, w), before the scaling factor.
        std: (B, C, h, w), before the scaling factor.
        valid_mask: (B, 1, h, w) in {0, 1}.
        prefixes: B texts to put before the prompts.
        pictures: B indices in the list of pictures.
    """

    mean: Tensor
    std: Tensor
    valid_mask: Tensor
    prefixes: tuple[str, ...]
    pictures: tuple[int, ...]

    def sample(self, noise: Tensor, scaling_factor: float) -> Tensor:
        """Draw latents from the posteriors.

        Args:
            noise: Standard normal, (B, C, h, w).
            scaling_factor: ``vae.config.scaling_factor``, 0.18215 for Stable Diffusion 1.

        Returns:
            Latents (B, C, h, w), scaled as the U-Net expects them.
        """
        return (self.mean + self.std * noise) * scaling_factor


class LatentCache:
    """A latent cache file, open for reading; rows count from 0 in the order they were built.

    Attributes:
        path: The file.
        shape: (C, h, w) of every row.
        prefixes: The prefix of every row.
        pictures: The picture index of every row.
    """

    def __init__(self, path: Path) -> None:
        """Map ``path`` into memory.

        Raises:
            UnusableCacheError: The file is missing, cut short, or no latent cache.
            RunError: A newer version wrote it.
        """
        batches, self.shape = map_latent_file(path)
        self.path = path
        self.prefixes: tuple[str, ...] = tuple(_listed(batches, "prefix"))
        self.pictures: tuple[int, ...] = tuple(_listed(batches, "picture"))
        self._mean = _views(batches, "mean", self.shape)
        self._std = _views(batches, "std", self.shape)
        self._mask = _views(batches, "valid_mask", _mask_shape(self.shape))

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.pictures)

    def __getitem__(self, index: int) -> LatentRow:
        """One row, float32.

        Raises:
            IndexError: There is no such row.
        """
        rows = self.gather([index])
        return LatentRow(
            picture=rows.pictures[0],
            prefix=rows.prefixes[0],
            mean=rows.mean[0],
            std=rows.std[0],
            valid_mask=rows.valid_mask[0, 0],
        )

    def gather(self, indices: Sequence[int]) -> LatentRows:
        """Copy rows out of the file.

        Args:
            indices: Row numbers in any order; repeats are allowed, negative ones count from the
                end.

        Returns:
            One row per index, in the order of ``indices``.

        Raises:
            IndexError: There is no such row.
        """
        return LatentRows(
            mean=_stacked(self._mean, indices, self.shape),
            std=_stacked(self._std, indices, self.shape),
            valid_mask=_stacked(self._mask, indices, _mask_shape(self.shape)),
            prefixes=tuple(self.prefixes[i] for i in indices),
            pictures=tuple(self.pictures[i] for i in indices),
        )


def cache_key(**parts: object) -> str:
    """Name of a cache as a function of everything its rows depend on.

    Args:
        **parts: Values that JSON can hold: picture digests, the VAE's fingerprint, the resolution,
            the settings of the augmentation, the seed. Their order does not matter; a tuple equals
            a list.

    Returns:
        64 hex digits: SHA-256 of the parts and of the schema version.

    Raises:
        TypeError: A part is not JSON.
        ValueError: A part is NaN or infinite.
    """
    content = {"schema_version": SCHEMA_VERSION, "parts": parts}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def build_latent_cache(path: Path, rows: Iterable[LatentRow], shape: Shape) -> LatentCache:
    """Write rows to a cache file and open it.

    Rows are taken one by one, so ``rows`` may be a generator that encodes them. Nothing is visible
    at ``path`` before all are written.

    Args:
        path: Final name; replaced when it exists.
        rows: Any number of rows.
        shape: (C, h, w) of every row.

    Raises:
        BaseModelError: A posterior is not finite in float16.
        ValueError: A row has another shape.
        OSError: The folder cannot be written, or the disk is full.
    """
    write_latent_file(path, rows, shape)
    return LatentCache(path)


def open_or_build(
    folder: Path, key: str, rows_factory: Callable[[], Iterable[LatentRow]], shape: Shape
) -> LatentCache:
    """Open ``folder/key.arrow``, or build it when it is missing or damaged.

    Processes that build the same key at once do the same work twice, and each leaves a whole file.

    Args:
        folder: The root of all caches; created when missing.
        key: From `cache_key`.
        rows_factory: Called only when the file must be built.
        shape: (C, h, w) of every row.

    Raises:
        RunError: A newer version wrote the file.
        BaseModelError: As for `build_latent_cache`.
        OSError: As for `build_latent_cache`.
    """
    path = folder / f"{key}.arrow"
    try:
        cache = LatentCache(path)
    except UnusableCacheError:
        return build_latent_cache(path, rows_factory(), shape)
    if cache.shape != shape:
        return build_latent_cache(path, rows_factory(), shape)
    return cache


def _mask_shape(shape: Shape) -> Shape:
    return 1, shape[1], shape[2]


def _listed(batches: Sequence[pa.RecordBatch], column: str) -> list[Any]:
    return [value for batch in batches for value in batch.column(column).to_pylist()]


def _views(batches: Sequence[pa.RecordBatch], column: str, shape: Shape) -> list[npt.NDArray[Any]]:
    """One view into the mapped file per row, each of ``shape``."""
    flat = (batch.column(column).flatten().to_numpy(zero_copy_only=True) for batch in batches)
    return [view for values in flat for view in values.reshape(-1, *shape)]


def _stacked(views: Sequence[npt.NDArray[Any]], indices: Sequence[int], shape: Shape) -> Tensor:
    stacked = np.empty((len(indices), *shape), dtype=np.float32)
    for slot, index in enumerate(indices):
        stacked[slot] = views[index]
    return torch.from_numpy(stacked)
