"""What one worker of an evaluation does: sample cells, embed the pictures, write the results."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cdcore.evaluation.cell import Cell
from cdcore.merging.settings import MergeSettings
from rayjobs.config.evaluation import SamplingSettings

if TYPE_CHECKING:
    from torch import Tensor

    from cdcore.concepts.masked_sum import MaskedSum
    from cdcore.evaluation.panel import PanelSources
    from cdcore.model.base import Base
    from cdcore.model.update import Update
    from cdcore.sampling.request import Request

__all__ = ["CellWorker", "CellTask", "CellOrder", "Taught"]

_KEPT = 4
"""Concepts and merges that are kept for the next cell; cells that share one follow each other."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CellOrder:
    """A cell to do.

    Attributes:
        cell: What to sample.
        files: The concept files that its method needs, on storage that every node shares.
        digest: The digest of the cell and of all that it depends on.
    """

    cell: Cell
    files: tuple[Path, ...]
    digest: str


@dataclass(frozen=True, kw_only=True, slots=True)
class CellTask:
    """What all cells share.

    Attributes:
        base: Name of the base.
        sources: The embedders that score.
        sampling: How pictures are sampled.
        merging: How concepts are merged; the method is each cell's own.
        output: Folder of the evaluation, on storage that every node shares.
    """

    base: str
    sources: "PanelSources"
    sampling: SamplingSettings
    merging: MergeSettings
    output: Path


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Taught:
    """What a method samples with.

    Attributes:
        update: On the base's device; None is the base itself.
        tokens: The row of each modifier token.
        phrases: How prompts name each of the entry's concepts.
        notes: What a merge loses, in the words of a merge on its own.
    """

    update: "Update | MaskedSum | None"
    tokens: "Mapping[str, Tensor] | None"
    phrases: tuple[str, ...]
    notes: tuple[str, ...] = ()


class CellWorker:
    """Does cells; see `rayjobs.cluster.actor_pool.Worker`."""

    def __init__(self, task: CellTask) -> None:
        from cdcore.evaluation.panel import load_panel
        from cdcore.model.loading import load_local_base

        self._task = task
        self._base: Base = load_local_base(task.base)
        self._panel = load_panel(task.sources, self._base)
        self._known: OrderedDict[tuple[str, tuple[Path, ...]], Taught] = OrderedDict()

    def work(self, items: Sequence[CellOrder]) -> list[str]:
        """Sample some cells in common batches, and write each; return their keys."""
        from cdcore.sampling.pipeline import sample

        wanted = [self._requests(order) for order in items]
        pixels = sample(self._base, [request for own in wanted for request in own])
        for order, own in zip(items, pixels.split([len(own) for own in wanted]), strict=True):
            self._write(order, own)
        return [order.cell.key for order in items]

    def _requests(self, order: CellOrder) -> "list[Request]":
        from cdcore.sampling.request import Request

        taught, settings = self._taught(order), self._task.sampling
        return [
            Request(
                prompt=prompt,
                seed=seed,
                steps=settings.steps,
                guidance_scale=settings.guidance_scale,
                sampler="ddim" if settings.sampler == "ddpm" else settings.sampler,
                eta=1.0 if settings.sampler == "ddpm" else 0.0,
                update=taught.update,
                tokens=taught.tokens,
            )
            for prompt, seed in zip(
                order.cell.prompts(taught.phrases), order.cell.seeds, strict=True
            )
        ]

    def _write(self, order: CellOrder, pixels: "Tensor") -> None:
        from cdcore.pictures.png import save_picture

        cell, is_shown = order.cell, order.cell.part == "prompts"
        if is_shown:
            for index, (picture, text) in enumerate(zip(pixels, cell.plain_texts, strict=True)):
                described = {"prompt": text, "method": cell.method, "seed": cell.seeds[index]}
                save_picture(cell.picture_file(self._task.output, index), picture, described)
        kinds = cell.nouns if is_shown and cell.section == "pair" else ()
        rows = self._panel.rows(pixels, cell.plain_texts, kinds)
        # Last: with this file the cell is done.
        rows.save(cell.file(self._task.output), order.digest, self._taught(order).notes)

    def _taught(self, order: CellOrder) -> Taught:
        key = order.cell.method, order.files
        if key not in self._known:
            self._known[key] = self._make(order)
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)
        self._known.move_to_end(key)
        return self._known[key]

    def _make(self, order: CellOrder) -> Taught:
        from dataclasses import replace

        from cdcore.concepts.storage import load_concept

        method, base = order.cell.method, self._base
        if method == "base":
            return Taught(update=None, tokens=None, phrases=())
        if method == "single" or method == "joint":
            concept = load_concept(order.files[0])
            concept.check_base(base)
            update = concept.update.to(base.device, base.seam.dtype)
            return Taught(update=update, tokens=concept.tokens, phrases=concept.phrases)
        from cdcore.merging.concept_files import merge_files

        merged = merge_files(
            [(file, 1.0) for file in order.files],
            replace(self._task.merging, method=method),
            base=base,
        )
        return Taught(
            update=merged.update.to(base.device, base.seam.dtype),
            tokens=merged.tokens,
            phrases=tuple(subject.phrase for named in merged.subjects for subject in named),
            notes=merged.report.notes,
        )
