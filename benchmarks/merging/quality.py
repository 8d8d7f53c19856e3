"""Which merge is best, on the pocket world: ``python benchmarks/merging/quality.py``.

Trains the individuals of each case apart and together, puts them together by every method, samples,
and asks the judge; see `benchmarks.merging.quality_scores` for the figures. Trained concepts are
kept, so that a second run samples only. It writes quality.json, quality.md, and a grid for each
case.
"""

# ruff: noqa: E402 - the checkout comes first on sys.path

import sys
from pathlib import Path

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from rayjobs.cli.quiet_start import silence

silence()

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, stdev
from typing import Any, Literal, get_args

from rich.console import Console
from rich.table import Table
from torch import Tensor

from benchmarks.common.machine import describe_machine
from benchmarks.merging.quality_cases import CASES, QualityCase
from benchmarks.merging.quality_scores import Alone, Panel, Scores, Way
from benchmarks.merging.quality_training import TrainingSettings, target_pixels, trained_file
from cdcore.command_line.parser import parse, run_command
from cdcore.concepts.storage import load_concept
from cdcore.errors import BaseModelError, ConfigError
from cdcore.files import write_text
from cdcore.merging.concept_files import merge_files
from cdcore.merging.settings import DEFAULT_PENALTY, MergeSettings, MixMethod
from cdcore.model.base import Base
from cdcore.model.device import DeviceName, chosen_device
from cdcore.model.loading import load_base
from cdcore.model.location import POCKET_FOLDER
from cdcore.pictures.grid import grid
from cdcore.pictures.png import save_picture
from cdcore.pocket.networks.judge import Judge
from rayjobs.cli.progress_bar import bar

MethodName = Literal[MixMethod, "joint"]
_METHODS: tuple[MethodName, ...] = get_args(MethodName)


@dataclass(frozen=True, kw_only=True, slots=True)
class MergeQuality:
    """What to measure, and where to write it."""

    base: str = "pocket"
    """The base: pocket, or the folder of another one."""
    output: Path = Path("runs/merge-quality")
    """Folder of the figures, the grids and the trained concepts."""
    json: Path | None = None
    """Write the figures to this file instead of quality.json."""
    methods: tuple[MethodName, ...] = _METHODS
    """How concepts are put together."""
    penalties: tuple[float, ...] = (DEFAULT_PENALTY,)
    """Penalties of ridge; each is a method of its own."""
    cases: tuple[int, ...] = ()
    """Numbers of the cases, from 0; default all."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds of the training; the spread is over these."""
    pictures: int = 4
    """Pictures of each prompt."""
    steps: int | None = None
    """Steps of training one concept; default the base's own. Joint training takes twice as many."""
    regularization_images: int | None = None
    """Regularization pictures of each class; default the base's own."""
    quick: bool = False
    """One case, one seed, a few steps: shows that it runs, its figures mean nothing."""
    device: DeviceName = "auto"
    """Where to compute."""
    cache: Path = Path("~/.cache/customdiffusion")
    """Folder of regularization images, latents and caption statistics."""

    def __post_init__(self) -> None:
        """Refuse what cannot be measured."""
        if not self.methods or not self.seeds or self.pictures < 1:
            raise ConfigError("--methods, --seeds and --pictures need at least one each")
        if not all(0 <= number < len(CASES) for number in self.cases):
            raise ConfigError(f"--cases are numbers from 0 to {len(CASES) - 1}")

    @property
    def chosen(self) -> tuple[QualityCase, ...]:
        """The cases to measure."""
        if self.quick:
            return CASES[:1]
        return tuple(CASES[number] for number in self.cases) or CASES

    def ways(self) -> list[tuple[str, MergeSettings | None]]:
        """Return the label of each method with its settings; joint training has none."""
        made: list[tuple[str, MergeSettings | None]] = []
        for method in self.methods:
            if method == "joint":
                made.append((method, None))
                continue
            for penalty in self.penalties if method == "ridge" else (DEFAULT_PENALTY,):
                settings = MergeSettings(
                    method=method,
                    penalty=penalty,
                    cache=self.cache.expanduser(),
                    allow_ill_posed=True,
                )
                made.append((f"ridge {penalty:g}" if method == "ridge" else method, settings))
        return made

    def training(self, base: Base) -> TrainingSettings:
        """Return how concepts are trained."""
        profile = base.profile
        images = self.regularization_images or profile.regularization_images
        return TrainingSettings(
            steps=2 if self.quick else self.steps or profile.steps,
            regularization_images=2 if self.quick else images,
            variants=2 if self.quick else profile.variants,
            folder=self.output / "concepts",
            cache=self.cache.expanduser(),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """Figures of one case, one method and one training seed.

    Attributes:
        case: The label of the case.
        method: The label of the method.
        seed: The seed of the training.
        scores: The figures of the judge.
        held_out: Mean residual of the concepts on held-out prompts; None where it is not known.
        caption_drift: Change of keys and values on held-out captions; None where it is not known.
        refused: Why the merge would be refused, if it would.
    """

    case: str
    method: str
    seed: int
    scores: Scores
    held_out: float | None = None
    caption_drift: float | None = None
    refused: str | None = None


def measure(job: MergeQuality, base: Base, judge: Judge, console: Console) -> list[Line]:
    """Measure all cases, and save their grids."""
    seeds = job.seeds[:1] if job.quick else job.seeds
    pictures = range(1 if job.quick else job.pictures)
    training = job.training(base)
    lines = []
    for case in job.chosen:
        targets = {name: target_pixels(base, name, training.folder) for name in case.names}
        panel = Panel(base=base, judge=judge, case=case, targets=targets, seeds=pictures)
        shown: dict[str, Tensor] = {}
        for seed in seeds:
            files = [_trained(base, (name,), seed, training) for name in case.names]
            alone = {
                name: panel.alone(name, _whole(base, file, (name,)))
                for name, file in zip(case.names, files, strict=True)
            }
            for label, settings in job.ways():
                if settings is None and len(case.names) < 2:
                    continue
                started = time.monotonic()
                line, rows = _line(panel, alone, files, label, settings, (seed, training))
                lines.append(line)
                shown.setdefault(label, rows[0])
                seconds = time.monotonic() - started
                console.print(f"{case.label}, seed {seed}, {label}: {seconds:.0f} s")
        if shown:
            _save_grid(job.output / f"{case.label.replace(' + ', '-')}.png", base, case, shown)
    return lines


def _line(
    panel: Panel,
    alone: Mapping[str, Alone],
    files: Sequence[Path],
    label: str,
    settings: MergeSettings | None,
    trained: tuple[int, TrainingSettings],
) -> tuple[Line, Tensor]:
    case, base, (seed, training) = panel.case, panel.base, trained
    if settings is None:
        file = _trained(base, case.names, seed, training)
        scores, rows = panel.score(_whole(base, file, case.names), alone)
        return Line(case=case.label, method=label, seed=seed, scores=scores), rows
    merged = merge_files([(file, 1.0) for file in files], settings, base=base)
    phrases = {
        name: subjects[0].phrase for name, subjects in zip(case.names, merged.subjects, strict=True)
    }
    way = Way(
        update=merged.update.to(base.device, base.seam.dtype), tokens=merged.tokens, phrases=phrases
    )
    scores, rows = panel.score(way, alone)
    residuals = [e.held_out for e in merged.report.concepts if e.held_out is not None]
    line = Line(
        case=case.label,
        method=label,
        seed=seed,
        scores=scores,
        held_out=fmean(residuals) if residuals else None,
        caption_drift=merged.report.drift,
        refused=next((note for note in merged.report.notes if "ill-posed" in note), None),
    )
    return line, rows


def _trained(base: Base, names: Sequence[str], seed: int, training: TrainingSettings) -> Path:
    with bar(f"training {' and '.join(names)}, seed {seed}", "steps") as advance:
        return trained_file(base, names, seed, training, advance)


def _whole(base: Base, file: Path, names: Sequence[str]) -> Way:
    """Return the way to sample a concept file as it is, its subjects those of ``names``."""
    concept = load_concept(file)
    return Way(
        update=concept.update.to(base.device, base.seam.dtype),
        tokens=concept.tokens,
        phrases=dict(zip(names, concept.phrases, strict=True)),
    )


def _save_grid(path: Path, base: Base, case: QualityCase, shown: Mapping[str, Tensor]) -> None:
    prompts = case.together_prompts({name: f"<{name}>" for name in case.names})
    drawn = grid(list(shown.values()), columns=prompts, labels=list(shown))
    save_picture(path, drawn, {"case": case.label, "base": base.fingerprint})


def table_rows(lines: Sequence[Line]) -> list[tuple[str, ...]]:
    """Return the mean and the spread over training seeds of each case and method."""
    rows = []
    for key in dict.fromkeys((line.case, line.method) for line in lines):
        own = [line for line in lines if (line.case, line.method) == key]
        figures = [
            _spread([getattr(line.scores, name) for line in own])
            for name in ("kept", "retention", "together", "text", "drift")
        ]
        refused = sum(line.refused is not None for line in own)
        rows.append((*key, *figures, f"{refused} of {len(own)}" if refused else ""))
    return rows


_HEADER = ("case", "method", "kept", "retention", "together", "text", "drift", "refused")


def _spread(values: Sequence[float]) -> str:
    mean = f"{fmean(values):.3f}"
    return f"{mean} ± {stdev(values):.3f}" if len(values) > 1 else mean


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    lines = [_HEADER, ("---",) * len(_HEADER), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _load(job: MergeQuality) -> tuple[Base, Judge]:
    folder = POCKET_FOLDER if job.base == "pocket" else Path(job.base).expanduser()
    base = load_base(str(folder), device=chosen_device(job.device))
    try:
        judge = Judge.load(folder / "judge").to(base.device)
    except (OSError, ValueError) as error:
        raise BaseModelError(
            f"{folder} has no judge; expected a base that all four stages of rayjobs/pretrain.py "
            "have made"
        ) from error
    return base, judge


def main() -> None:
    """Measure, write and show.

    Raises:
        BaseModelError: The folder holds no pocket base with a judge.
        ConfigError: A setting is impossible.
        OSError: A file cannot be written.
    """
    job = parse(
        MergeQuality,
        prog="quality.py",
        description="Measure on the pocket world what each way to put concepts together keeps.",
    )
    console = Console(highlight=False, markup=False, emoji=False)
    base, judge = _load(job)
    lines = measure(job, base, judge, console)
    rows = table_rows(lines)
    table = Table(*_HEADER)
    for row in rows:
        table.add_row(*row)
    console.print(table)
    figures: dict[str, Any] = {
        "machine": describe_machine(base.device.type),
        "base": base.fingerprint,
        "lines": [asdict(line) for line in lines],
    }
    write_text(job.json or job.output / "quality.json", json.dumps(figures, indent=2) + "\n")
    write_text(job.output / "quality.md", _markdown(rows))


if __name__ == "__main__":
    run_command(main)
