"""An album: the first pictures of a world rendered once, with fresh captions at every draw."""

import hashlib
import random
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cdcore.files import replacing
from cdcore.pictures.pixels import to_pixels
from cdcore.pocket.drawing.render import PICTURE_SIZE
from cdcore.pocket.drawing.world import picture
from cdcore.pocket.scenes.caption import caption
from cdcore.pocket.scenes.scene import Scene, sample_scene

__all__ = ["Album", "open_album"]

_CHUNK = 500
_PROBES = 256
"""Enough to hold every kind, place, style and extra many times over, in less than half a second."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Album:
    """Rendered pictures and the scenes they show.

    Attributes:
        name: The file's name without its ending; it differs where the pictures do.
        images_u8: (N, 64, 64, 3) uint8, memory-mapped.
        scenes: What each picture shows.
    """

    name: str
    images_u8: npt.NDArray[np.uint8]
    scenes: tuple[Scene, ...]

    def __len__(self) -> int:
        return len(self.scenes)

    def pixels(self, indices: Tensor) -> Tensor:
        """Return the pictures at ``indices`` (B,) as (B, 3, 64, 64) float32 in [-1, 1]."""
        return to_pixels(torch.from_numpy(self.images_u8[indices.numpy()]))

    def captions(self, indices: Tensor, rng: random.Random) -> list[str]:
        """Return a freshly worded caption for each of ``indices`` (B,)."""
        return [caption(self.scenes[index], rng) for index in indices.tolist()]


def open_album(folder: Path, *, seed: int, count: int, processes: int = 2) -> Album:
    """Open the album of a world, rendering it first when ``folder`` does not hold it yet.

    An album that another version of the world has drawn is left alone and not opened.

    Args:
        folder: Where rendered albums are kept.
        seed: Which world.
        count: Number of pictures.
        processes: Rendering processes.

    Raises:
        OSError: The folder cannot be written.
    """
    path = folder / f"album-{seed}-{count}-{_world_digest(seed, count)}.npy"
    if not path.exists():
        with replacing(path) as temporary:
            images = np.lib.format.open_memmap(
                temporary, "w+", np.uint8, (count, PICTURE_SIZE, PICTURE_SIZE, 3)
            )
            starts = range(0, count, _CHUNK)
            with ProcessPoolExecutor(processes) as pool:
                for start, chunk in zip(
                    starts, pool.map(partial(_render, seed, count), starts), strict=True
                ):
                    images[start : start + len(chunk)] = chunk
            images.flush()
    return Album(
        name=path.stem,
        images_u8=np.load(path, mmap_mode="r"),
        scenes=tuple(sample_scene(random.Random(f"{seed}:{index}")) for index in range(count)),
    )


def _world_digest(seed: int, count: int) -> str:
    """Tell versions of the world apart by what they draw first."""
    digest = hashlib.sha256()
    for index in range(min(count, _PROBES)):
        probe = picture(seed, index)
        digest.update(repr(probe.scene).encode() + probe.image.tobytes())
    return digest.hexdigest()[:8]


def _render(seed: int, count: int, start: int) -> npt.NDArray[np.uint8]:
    stop = min(start + _CHUNK, count)
    return np.stack([np.asarray(picture(seed, index).image) for index in range(start, stop)])
