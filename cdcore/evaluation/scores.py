"""Scores of an evaluation: from the rows of its cells to figures of entries and of methods."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from statistics import fmean, stdev
from typing import Any

from torch import nn

from cdcore.evaluation.cell import Cell
from cdcore.evaluation.embeddings import CellRows
from cdcore.evaluation.methods import Method, Section
from cdcore.scoring.kid import EmbedderFeatures, kernel_distance
from cdcore.scoring.metrics import clip_score, image_alignment, prior_drift, text_alignment

__all__ = ["EntryScores", "MethodScores", "entry_scores", "method_scores"]


@dataclass(frozen=True, kw_only=True, slots=True)
class EntryScores:
    """The figures of one method on one entry.

    Attributes:
        section: Single concepts, or pairs.
        method: What sampled.
        entry: Name of the entry.
        pictures: How many were scored against their prompts.
        clip_score: Text alignment as CLIPScore, in [0, 2.5].
        text_cosine: Text alignment as a plain cosine.
        image_clip: Mean cosine of all pairs, for each folder of target pictures.
        image_dino: The same cosine, by the embedder that reads no texts.
        drift: Mean cosine distance from the base's pictures of the same plain prompts and seeds.
        present: Share of pictures in which the judge finds all things of the entry.
        kid: KID of pictures of captions and the real pictures of those captions; not times 1000.
    """

    section: Section
    method: Method
    entry: str
    pictures: int
    clip_score: float
    text_cosine: float
    image_clip: tuple[float, ...]
    image_dino: tuple[float, ...]
    drift: float | None
    present: float | None
    kid: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class MethodScores:
    """Means over the entries of a section; see `EntryScores`. Image figures are means over folders.

    Attributes:
        entries: How many.
        errors: Standard error of each mean over entries, by its name; none of a single entry.
    """

    section: Section
    method: Method
    entries: int
    errors: Mapping[str, float] = field(default_factory=dict)
    clip_score: float
    text_cosine: float
    image_clip: float
    image_dino: float
    drift: float | None
    present: float | None
    kid: float | None

    @property
    def figures(self) -> dict[str, Any]:
        """The figures as a program reads them."""
        return asdict(self)


_FIGURES = tuple(
    one.name
    for one in fields(MethodScores)
    if one.name not in {"section", "method", "entries", "errors"}
)


def entry_scores(
    results: Mapping[Cell, CellRows],
    base: Mapping[Cell, CellRows],
    targets: Sequence[CellRows],
    real: CellRows | None,
) -> EntryScores:
    """Score one method on one entry.

    Args:
        results: The cells of the method on that entry, with their rows.
        base: The base's cells of the same entry.
        targets: The pictures to resemble, of each of the entry's concepts.
        real: The real pictures of KID; None where there are none.
    """
    shown = {cell: rows for cell, rows in results.items() if cell.part == "prompts"}
    first, all_shown = next(iter(shown)), CellRows.joined(list(shown.values()))
    assert all_shown.text is not None
    present = all_shown.present
    return EntryScores(
        section=first.section,
        method=first.method,
        entry=first.entry,
        pictures=len(all_shown.clip),
        clip_score=clip_score(all_shown.clip, all_shown.text),
        text_cosine=text_alignment(all_shown.clip, all_shown.text),
        image_clip=tuple(image_alignment(all_shown.clip, rows.clip) for rows in targets),
        image_dino=tuple(image_alignment(all_shown.dino, rows.dino) for rows in targets),
        drift=_drift(results, base),
        present=None if present is None else float(present.mean()),
        kid=_kid(results, real),
    )


def method_scores(scores: Sequence[EntryScores]) -> tuple[MethodScores, ...]:
    """Return means over entries, by section and method in the order of ``scores``."""
    made = []
    for section, method in dict.fromkeys((one.section, one.method) for one in scores):
        own = [one for one in scores if (one.section, one.method) == (section, method)]
        known = {name: _known([getattr(one, name) for one in own]) for name in _FIGURES}
        means: dict[str, Any] = {
            name: fmean(values) if values else None for name, values in known.items()
        }
        errors = {
            name: stdev(values) / math.sqrt(len(values))
            for name, values in known.items()
            if len(values) > 1
        }
        made.append(
            MethodScores(section=section, method=method, entries=len(own), errors=errors, **means)
        )
    return tuple(made)


def _drift(results: Mapping[Cell, CellRows], base: Mapping[Cell, CellRows]) -> float | None:
    """Compare plain pictures with the base's of the same prompt: it has drawn at least as many."""
    before = {cell.number: rows for cell, rows in base.items() if cell.part == "prompts"}
    plain = {cell.number: rows for cell, rows in results.items() if cell.part == "plain"}
    if not plain:
        return None
    return fmean(
        prior_drift(before[number].clip[: len(rows.clip)], rows.clip)
        for number, rows in plain.items()
    )


def _kid(results: Mapping[Cell, CellRows], real: CellRows | None) -> float | None:
    generated = [rows for cell, rows in results.items() if cell.part == "captions"]
    if not generated or real is None:
        return None
    features = [EmbedderFeatures.scaled(rows.clip) for rows in (CellRows.joined(generated), real)]
    return kernel_distance(*features, features=nn.Identity()).mean


def _known(values: Sequence[Any]) -> list[float]:
    """Return the figures that were measured, each a mean over its folders of targets."""
    return [
        fmean(value) if isinstance(value, tuple) else value for value in values if value is not None
    ]
