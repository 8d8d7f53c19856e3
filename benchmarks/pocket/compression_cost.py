"""What compression costs: sizes by count, and errors and image alignment of a concept.

``python benchmarks/pocket/compression_cost.py`` counts the sizes at Stable Diffusion's shapes;
``--concept FILE --images FOLDER`` compresses that concept to the same shares of its dense size, and
scores each against the pictures where its base has a judge.
"""

# ruff: noqa: E402 - the checkout comes first on sys.path

import sys
from pathlib import Path

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from rayjobs.cli.quiet_start import silence

silence()

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.common.figures import save_figures
from cdcore.command_line.parser import parse, run_command
from cdcore.concepts.concept import Concept
from cdcore.concepts.low_rank import BYTES_PER_VALUE, choose_ranks, compress
from cdcore.concepts.rank_rule import Rule, Scope
from cdcore.concepts.storage import load_concept
from cdcore.errors import ConfigError
from cdcore.model.base import Base
from cdcore.model.families import PUBLISHED_FAMILIES
from cdcore.model.kv_layout import KVLayout
from cdcore.model.loading import load_base
from cdcore.model.update import DenseUpdate
from cdcore.pictures.picture_folder import read_pictures
from cdcore.pocket.networks.judge_embedders import embedder_of
from cdcore.scoring.before_after import evaluate_concept
from cdcore.scoring.embedder import Embedder
from cdcore.scoring.targets import picture_pixels

PAPER_MASS = 0.6
DECAYS = (0.0, 0.5, 1.0)
"""The decays of singular values, sigma_i = i^-decay: flat, and falling as trained updates may."""
MEGABYTES = (15.0, 5.0)
"""Points to reach at Stable Diffusion 1's shape."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CompressionBenchmark:
    """What to measure, and where to write it."""

    concept: Path | None = None
    """Concept file; without one only sizes are counted."""
    images: Path | None = None
    """Pictures of the concept to score against; without them only errors are measured."""
    base: str | None = None
    """Base model; unset, the concept's own."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds of the pictures that are scored."""
    json: Path | None = None
    """Write the figures to this file."""
    quick: bool = False
    """One seed and one rule: shows that it runs."""

    def __post_init__(self) -> None:
        """Refuse what cannot be measured."""
        if self.images is not None and self.concept is None:
            raise ConfigError("--images needs --concept, the concept that shows in them")


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """One way to store an update of one shape."""

    base: str
    how: str
    megabytes: float
    rank: float
    """Mean over the matrices."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """One compression of a concept; scores are None where nothing can score."""

    how: str
    megabytes: float
    rank: float
    error: float
    image_alignment: float | None = None
    image_spread: float | None = None
    text_alignment: float | None = None
    prior_drift: float | None = None


def sizes(name: str, layout: KVLayout) -> list[Size]:
    """Count the bytes of every way to store an update of this shape, in half precision."""
    height, width = layout.shape
    dense = height * width * BYTES_PER_VALUE / 1e6
    costs = [BYTES_PER_VALUE * (own + width) for own in layout.widths]
    made = [Size(base=name, how="dense", megabytes=dense, rank=_mean(_full(layout)))]
    for megabytes in MEGABYTES:
        share = megabytes * 1e6 / (PUBLISHED_FAMILIES[0].layout.shape[0] * 768 * BYTES_PER_VALUE)
        budget = int(share * dense * 1e6)
        whole = budget // (BYTES_PER_VALUE * (height + width))
        made.append(
            Size(
                base=name,
                how=f"{share:.0%} of dense, one pair for the stack",
                megabytes=whole * BYTES_PER_VALUE * (height + width) / 1e6,
                rank=whole,
            )
        )
        ranks = choose_ranks(_spectra(layout, 0.5), costs, Rule(name="size", value=budget))
        made.append(_size(name, f"{share:.0%} of dense, each matrix", ranks, costs))
    for decay in DECAYS:
        rule = Rule(name="mass", value=PAPER_MASS)
        ranks = choose_ranks(_spectra(layout, decay), costs, rule)
        made.append(_size(name, f"60 % rule, sigma_i = i^-{decay:g}", ranks, costs))
    return made


def points(
    base: Base,
    concept: Concept,
    targets: torch.Tensor | None,
    embedder: Embedder | None,
    seeds: Sequence[int],
    most: int | None = None,
) -> list[Point]:
    """Compress a concept by every rule, and score each result like the concept itself.

    Args:
        base: The concept's own.
        concept: Dense or not.
        targets: Pixels (M, 3, S, S) of the subject, or None where there are none to resemble.
        embedder: The embedder that scores; None scores nothing.
        seeds: The seeds of the pictures that are scored.
        most: Rules that are tried; None for all.
    """
    layout = base.seam.layout
    dense = layout.shape[0] * layout.shape[1] * BYTES_PER_VALUE
    shares = [
        m * 1e6 / (PUBLISHED_FAMILIES[0].layout.shape[0] * 768 * BYTES_PER_VALUE) for m in MEGABYTES
    ]
    plan: list[tuple[Rule, Scope]] = [
        *((Rule(name="energy", value=share), "matrix") for share in (0.99, 0.95, 0.9, 0.8)),
        (Rule(name="mass", value=PAPER_MASS), "matrix"),
        *((Rule(name="size", value=int(share * dense)), "matrix") for share in shares),
        *((Rule(name="size", value=int(share * dense)), "stack") for share in shares),
    ]
    whole = DenseUpdate(concept.update.dense())
    stored = _score(base, concept, targets, embedder, seeds)
    made = [
        Point(how="as it is", megabytes=dense / 1e6, rank=_mean(_full(layout)), error=0, **stored)
    ]
    for rule, scope in plan[:most]:
        small = compress(whole, layout, rule, scope=scope)
        value = f"{rule.value / 1e6:.3g} MB" if rule.name == "size" else f"{rule.value:g}"
        made.append(
            Point(
                how=f"{rule.name} {value}, {scope}",
                megabytes=small.size / 1e6,
                rank=_mean([line.rank for line in small.matrices]),
                error=small.error,
                **_score(base, replace(concept, update=small.update), targets, embedder, seeds),
            )
        )
    return made


def _score(
    base: Base,
    concept: Concept,
    targets: torch.Tensor | None,
    embedder: Embedder | None,
    seeds: Sequence[int],
) -> dict[str, Any]:
    if targets is None or embedder is None:
        return {}
    used = replace(concept, update=concept.update.to("cpu", torch.float32))
    metrics = evaluate_concept(base, used, targets, embedder=embedder, seeds=seeds).metrics
    return {
        "image_alignment": metrics["image_alignment"]["concept"],
        "image_spread": metrics["spread"]["image_alignment"]["concept"],
        "text_alignment": metrics["text_alignment"]["concept"],
        "prior_drift": metrics["prior_drift"],
    }


def _full(layout: KVLayout) -> list[int]:
    return [min(width, layout.text_width) for width in layout.widths]


def _spectra(layout: KVLayout, decay: float) -> list[torch.Tensor]:
    return [torch.arange(1, rank + 1, dtype=torch.float64) ** -decay for rank in _full(layout)]


def _size(name: str, how: str, ranks: Sequence[int], costs: Sequence[int]) -> Size:
    total = sum(rank * cost for rank, cost in zip(ranks, costs, strict=True))
    return Size(base=name, how=how, megabytes=total / 1e6, rank=_mean(ranks))


def _mean(ranks: Sequence[int]) -> float:
    return sum(ranks) / len(ranks)


def _measured(job: CompressionBenchmark, path: Path) -> list[Point]:
    concept = load_concept(path)
    base = load_base(job.base or concept.base_name)
    concept.check_base(base)
    embedder = embedder_of(base)
    targets = None if job.images is None else picture_pixels(base, read_pictures(job.images))
    seeds = job.seeds[:1] if job.quick else job.seeds
    return points(base, concept, targets, embedder, seeds, most=1 if job.quick else None)


_HEADINGS = {
    "megabytes": "MB",
    "image_alignment": "image",
    "image_spread": "spread",
    "text_alignment": "text",
    "prior_drift": "drift",
}
"""Short headings of columns whose names are too wide for a terminal."""


def _table(title: str, rows: Sequence[dict[str, Any]]) -> Table:
    table = Table(title=title, title_justify="left")
    for name in rows[0]:
        is_text = isinstance(rows[0][name], str)
        table.add_column(_HEADINGS.get(name, name), justify="left" if is_text else "right")
    for row in rows:
        table.add_row(*(_cell(value) for value in row.values()))
    return table


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def main() -> None:
    """Count, measure, show and write.

    Raises:
        CustomDiffusionError: A file or a setting cannot be used.
        OSError: A file cannot be written.
    """
    job = parse(
        CompressionBenchmark,
        prog="compression_cost.py",
        description="Count what compressed updates take, and measure what compression costs.",
    )
    console = Console(highlight=False)
    counted = [asdict(size) for f in PUBLISHED_FAMILIES for size in sizes(f.title, f.layout)]
    console.print(_table("Bytes of an update, by count", counted))
    measured: list[dict[str, Any]] = []
    if job.concept is not None:
        measured = [asdict(point) for point in _measured(job, job.concept)]
        console.print(_table(f"Compressions of {job.concept.name}", measured))
    figures = {"sizes": counted, "points": measured}
    save_figures(job.json, figures, console)


if __name__ == "__main__":
    run_command(main)
