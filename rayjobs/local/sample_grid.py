"""A sheet: pictures that are sampled together and saved as one grid and as single files."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count as count_from
from pathlib import Path
from typing import Any

from torch import Tensor

from cdcore.pictures.grid import grid
from cdcore.pictures.png import save_picture
from cdcore.sampling.request import Request

__all__ = ["Sheet", "sheets"]

_MOST_COLUMNS = 8
_MOST_PICTURES = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class Sheet:
    """One grid's worth of requests.

    Attributes:
        rows: The requests of each row; a row has one prompt.
        headers: What stands above each column; empty when rows differ in their seeds.
        labels: What stands left of each row.
    """

    rows: tuple[tuple[Request, ...], ...]
    headers: tuple[str, ...]
    labels: tuple[str, ...]

    @property
    def requests(self) -> tuple[Request, ...]:
        """Row after row."""
        return tuple(request for row in self.rows for request in row)

    def save(
        self,
        pixels: Tensor,
        folder: Path,
        stem: str,
        settings: Mapping[str, Any],
        of_prompts: Mapping[str, Mapping[str, Any]],
    ) -> tuple[Path, tuple[Path, ...]]:
        """Write the grid and the single files under the next free numbers.

        Args:
            pixels: The pictures of `requests`, (B, 3, S, S) in [-1, 1].
            folder: Created when missing; nothing in it is overwritten.
            stem: Of the single files' names.
            settings: What all pictures share; saved in each file with the request's own.
            of_prompts: What is true of a prompt's pictures alone, by the prompt; goes before what
                all share.

        Returns:
            The grid's path, and the single files'.

        Raises:
            OSError: A file cannot be written.
        """
        names = _free_names(folder, stem)
        paths = []
        for picture, request in zip(pixels, self.requests, strict=True):
            paths.append(next(names))
            own = of_prompts.get(request.prompt, {})
            save_picture(paths[-1], picture, {**_settings(request), **settings, **own})
        grid_path = next(_free_names(folder, "grid"))
        rows = pixels.split([len(row) for row in self.rows])
        image = grid(rows, columns=self.headers, labels=self.labels)
        files = [path.name for path in paths]
        pictures = [
            {"file": file, **_settings(request), **of_prompts.get(request.prompt, {})}
            for file, request in zip(files, self.requests, strict=True)
        ]
        save_picture(grid_path, image, {**settings, "pictures": pictures})
        return grid_path, tuple(paths)


def sheets(prompts: Sequence[str], count: int, first: Request) -> list[Sheet]:
    """Deal out requests: a row for each prompt, a column for each seed.

    Args:
        prompts: At least one.
        count: Pictures of each prompt, at least 1.
        first: What all share, with the first seed; the others follow it by one.

    Returns:
        Sheets of a size that can be sampled at once; a prompt of many pictures takes several rows.
    """
    width = min(count, _MOST_COLUMNS)
    fits = count <= width
    rows, labels = [], []
    for prompt in prompts:
        for start in range(0, count, width):
            seeds = range(first.seed + start, first.seed + min(start + width, count))
            rows.append(tuple(replace(first, prompt=prompt, seed=seed) for seed in seeds))
            labels.append(prompt if fits else f"{prompt}\nseeds {seeds[0]} to {seeds[-1]}")
    headers = tuple(f"seed {request.seed}" for request in rows[0]) if fits else ()
    height = _MOST_PICTURES // width
    return [
        Sheet(
            rows=tuple(rows[start : start + height]),
            headers=headers,
            labels=tuple(labels[start : start + height]),
        )
        for start in range(0, len(rows), height)
    ]


def _settings(request: Request) -> dict[str, Any]:
    names = ("prompt", "negative_prompt", "seed", "steps", "guidance_scale", "sampler")
    return {name: getattr(request, name) for name in names}


def _free_names(folder: Path, stem: str) -> Iterator[Path]:
    """Yield ``stem-0001.png`` and on, behind the highest number that is taken."""
    pattern = re.compile(re.escape(stem) + r"-(\d+)\.png")
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    taken = [int(match[1]) for name in names if (match := pattern.fullmatch(name))]
    return (folder / f"{stem}-{number:04}.png" for number in count_from(max(taken, default=0) + 1))
