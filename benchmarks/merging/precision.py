"""How far numbers of a file depend on the precision: ``python benchmarks/merging/precision.py``.

Describes shipped concepts, reads the captions and merges, in float32 on a CPU and then as a GPU
computes: as it was, with all of the base but its autoencoder in half precision, and as it is, with
the U-Net alone. What a merge misses is measured with features in float32, beside what it would say
itself.
"""

# ruff: noqa: E402 - the checkout comes first on sys.path

import sys
from pathlib import Path

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from rayjobs.cli.quiet_start import silence

silence()

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from benchmarks.common.figures import save_figures
from benchmarks.common.machine import describe_machine
from cdcore.command_line.parser import parse, run_command
from cdcore.concepts.concept import Concept
from cdcore.concepts.merge_inputs import MergeInputs, describe
from cdcore.concepts.storage import load_concept
from cdcore.errors import ConfigError
from cdcore.merging.caption_bank import CaptionBank, written_captions
from cdcore.merging.caption_statistics import CaptionStatistics, caption_statistics
from cdcore.merging.merge import Merge, merge
from cdcore.model.base import Base
from cdcore.model.device import DeviceName, chosen_device
from cdcore.model.loading import load_base
from cdcore.pictures.picture_folder import read_pictures
from cdcore.scoring.targets import picture_pixels

DTypeName = Literal["bfloat16", "float16"]
_EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
_NAMES = ("mycat", "mychair", "mydog", "mypot")
_QUICK_CAPTIONS = 240


@dataclass(frozen=True, kw_only=True, slots=True)
class PrecisionBenchmark:
    """What to measure, and where to write it."""

    dtypes: tuple[DTypeName, ...] = ("bfloat16", "float16")
    """What U-Nets compute in."""
    device: DeviceName = "auto"
    """Where; the comparison is always with float32 on the CPU."""
    quick: bool = False
    """bfloat16, two concepts and fewer captions: shows that it runs."""
    json: Path | None = None
    """Write the figures to this file."""

    def __post_init__(self) -> None:
        """Refuse what cannot be measured."""
        if not self.dtypes:
            raise ConfigError("--dtypes needs at least one")


@dataclass(frozen=True, kw_only=True, slots=True)
class Departure:
    """How far one way to compute is from float32 on the CPU; all differences are relative.

    Attributes:
        computed: What was computed how.
        features: Of the features of the concepts' target prompts, root mean square.
        energy: Of what the base's keys and values come to on captions.
        latents: Of the latents of pictures, root mean square.
        condition: The condition number of the captions.
        said: What the constrained merge misses of a concept by the features of the files, the most.
        missed: What it misses by features in float32, the most.
        merged: Of its update, root mean square.
        mixed: The same, where the captions were read in float32 and the concepts were not.
    """

    computed: str
    features: float
    energy: float
    latents: float
    condition: float
    said: float
    missed: float
    merged: float
    mixed: float


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Numbers:
    """What files would keep of one way to compute."""

    all_inputs: list[MergeInputs]
    statistics: CaptionStatistics
    latents: Tensor
    made: Merge


def measure(job: PrecisionBenchmark) -> list[Departure]:
    """Compute in every way, and compare with float32 on the CPU."""
    dtypes = job.dtypes[:1] if job.quick else job.dtypes
    names = _NAMES[:2] if job.quick else _NAMES
    exact = load_base("pocket")
    bank = written_captions(pocket=True)
    if job.quick:
        bank = CaptionBank.split(bank.fitted[:_QUICK_CAPTIONS])
    concepts = [load_concept(_EXAMPLES / "concepts" / f"{name}.safetensors") for name in names]
    pixels = picture_pixels(exact, read_pictures(_EXAMPLES / names[0]))
    wanted = _numbers(exact, concepts, bank, pixels, exact)
    found = [_departure("float32", wanted, wanted, exact)]
    device = chosen_device(job.device)
    for name in dtypes:
        dtype: torch.dtype = getattr(torch, name)
        now = load_base("pocket", device=device, dtype=dtype)
        before = _as_before(load_base("pocket", device=device, dtype=dtype))
        for label, base in (
            (f"{name}, before", before),
            (f"{name}, now", now),
        ):
            computed = _numbers(base, concepts, bank, pixels, exact)
            found.append(_departure(label, computed, wanted, exact))
    return found


def _as_before(base: Base) -> Base:
    """Let all of a base but its autoencoder compute in the U-Net's dtype."""
    base.text_encoder.model.to(base.seam.dtype)
    base.seam.read_stack = base.seam.stack
    return base


def _numbers(
    base: Base, concepts: Sequence[Concept], bank: CaptionBank, pixels: Tensor, exact: Base
) -> _Numbers:
    all_inputs = [describe(concept, base) for concept in concepts]
    statistics = caption_statistics(base, bank)
    return _Numbers(
        all_inputs=all_inputs,
        statistics=statistics,
        latents=base.encode_pixels(pixels.to(base.device))[0].cpu(),
        made=_merged(all_inputs, statistics, exact),
    )


def _merged(all_inputs: Sequence[MergeInputs], statistics: CaptionStatistics, exact: Base) -> Merge:
    return merge(
        all_inputs,
        statistics,
        method="constrained",
        allow_ill_posed=True,
        encoder=exact.text_encoder,
    )


def _departure(label: str, found: _Numbers, wanted: _Numbers, exact: Base) -> Departure:
    errors = found.made.report.concepts
    mixed = _merged(found.all_inputs, wanted.statistics, exact)
    energies = [one.statistics.base_energy for one in (found, wanted)]
    return Departure(
        computed=label,
        features=_apart(*(_features(one) for one in (found, wanted))),
        energy=abs(energies[0] / energies[1] - 1),
        latents=_apart(found.latents, wanted.latents),
        condition=found.statistics.condition,
        said=max(error.constraint or 0.0 for error in errors),
        missed=max(error.exact or 0.0 for error in errors),
        merged=_apart(*(one.made.concept.update.dense() for one in (found, wanted))),
        mixed=_apart(mixed.concept.update.dense(), wanted.made.concept.update.dense()),
    )


def _features(numbers: _Numbers) -> Tensor:
    return torch.cat([inputs.constraint.features for inputs in numbers.all_inputs])


def _apart(found: Tensor, wanted: Tensor) -> float:
    return float((found - wanted).norm() / wanted.norm())


def table(departures: Sequence[Departure]) -> Table:
    """Return the figures as a table."""
    made = Table(title="Apart from float32 on the CPU", title_justify="left")
    made.add_column("computed in")
    heads = (
        "features",
        "energy",
        "latents",
        "condition",
        "says",
        "misses",
        "merged",
        "mixed",
    )
    for head in heads:
        made.add_column(head, justify="right")
    for one in departures:
        figures: dict[str, Any] = asdict(one)
        label = figures.pop("computed")
        shares = {name: f"{value:.2g}" for name, value in figures.items()}
        shares |= {name: f"{figures[name]:.2%}" for name in ("said", "missed")}
        made.add_row(label, *shares.values())
    return made


def main() -> None:
    """Measure, write and show.

    Raises:
        CustomDiffusionError: A setting is impossible.
        OSError: A file cannot be read or written.
    """
    job = parse(
        PrecisionBenchmark,
        prog="precision.py",
        description="Measure how far numbers of a file depend on the precision.",
    )
    console = Console(highlight=False, markup=False, emoji=False)
    departures = measure(job)
    console.print(table(departures))
    figures = {
        "machine": describe_machine(chosen_device(job.device)),
        "departures": [asdict(one) for one in departures],
    }
    save_figures(job.json, figures, console)


if __name__ == "__main__":
    run_command(main)
