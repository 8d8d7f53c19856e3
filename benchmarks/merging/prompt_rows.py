"""Which rows of prompts a merge should look at: ``python benchmarks/merging/prompt_rows.py``.

Merges the shipped example concepts in pairs, with start and padding rows counted or not, of the
concepts' prompts and of captions, and scores the pictures (`benchmarks.merging.quality_scores`). It
answers for the pocket base only: another text encoder writes other things into its padding.
"""

# ruff: noqa: E402 - the checkout comes first on sys.path

import sys
from pathlib import Path

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from rayjobs.cli.quiet_start import silence

silence()

from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.common.figures import save_figures
from benchmarks.common.machine import describe_machine
from benchmarks.merging.quality_cases import QualityCase
from benchmarks.merging.quality_scores import Panel, Way
from cdcore.command_line.parser import parse, run_command
from cdcore.concepts.concept import Concept
from cdcore.concepts.merge_inputs import TARGET_WEIGHTS, features_of, make_merge_inputs
from cdcore.concepts.prompt_rows import RowWeights
from cdcore.concepts.storage import load_concept
from cdcore.errors import ConfigError
from cdcore.merging.caption_bank import written_captions
from cdcore.merging.caption_statistics import CAPTION_WEIGHTS, caption_statistics
from cdcore.merging.merge import merge
from cdcore.merging.settings import DEFAULT_PENALTY, MergeMethod
from cdcore.model.base import Base
from cdcore.model.loading import load_base
from cdcore.model.location import POCKET_FOLDER
from cdcore.pictures.picture_folder import read_pictures
from cdcore.pocket.networks.judge import Judge
from cdcore.scoring.targets import picture_pixels

_EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
_PAIRS = (("mycat", "mychair"), ("mycat", "mypot"))
_CAPTIONS = (CAPTION_WEIGHTS, RowWeights())
_TARGETS = (RowWeights(), RowWeights(padding=3.0))
_PENALTIES = tuple(penalty for penalty in (0.1, 0.3, 1.0, 3.0) if penalty != DEFAULT_PENALTY)
"""Beside the default, which the choices of rows are merged by."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MergeRows:
    """What to measure, and where to write it."""

    seeds: tuple[int, ...] = (0, 1)
    """A picture of each prompt for each seed."""
    json: Path | None = None
    """Write the figures to this file."""
    quick: bool = False
    """One pair, one seed and one choice of rows: shows that it runs."""

    def __post_init__(self) -> None:
        """Refuse what cannot be measured."""
        if not self.seeds:
            raise ConfigError("--seeds needs at least one")


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """One way to count rows.

    Attributes:
        method: The method of the merge.
        targets: Weights of the rows of concepts' prompts; only "ridge" reads them.
        captions: Weights of the rows of captions.
        penalty: The penalty of "ridge".
    """

    method: MergeMethod
    targets: RowWeights = TARGET_WEIGHTS
    captions: RowWeights = CAPTION_WEIGHTS
    penalty: float = DEFAULT_PENALTY

    @property
    def label(self) -> str:
        """Such as ``ridge 1, captions start 1 padding 1, prompts padding 1``."""
        captions = f"captions {_words(self.captions)}"
        if self.method != "ridge":
            return f"{self.method}, {captions}"
        return f"ridge {self.penalty:g}, {captions}, prompts {_words(self.targets)}"


CHOICES: tuple[Choice, ...] = (
    *(Choice(method="constrained", captions=captions) for captions in _CAPTIONS),
    *(Choice(method="ridge", captions=captions) for captions in _CAPTIONS),
    *(Choice(method="ridge", targets=targets) for targets in _TARGETS),
    *(Choice(method="ridge", penalty=penalty) for penalty in _PENALTIES),
)


def measure(job: MergeRows, base: Base, judge: Judge) -> list[dict[str, Any]]:
    """Score every choice on every pair."""
    seeds = job.seeds[:1] if job.quick else job.seeds
    bank = written_captions(pocket=base.is_pocket)
    choices = CHOICES[:1] if job.quick else CHOICES
    statistics = {
        weights: caption_statistics(base, bank, None, weights=weights)
        for weights in {choice.captions for choice in choices}
    }
    lines = []
    for names in _PAIRS[:1] if job.quick else _PAIRS:
        concepts = [load_concept(_EXAMPLES / "concepts" / f"{name}.safetensors") for name in names]
        panel = Panel(
            base=base,
            judge=judge,
            case=QualityCase(names=names),
            targets={name: picture_pixels(base, read_pictures(_EXAMPLES / name)) for name in names},
            seeds=seeds,
        )
        phrases = {concept.name: concept.phrases[0] for concept in concepts}
        alone = {
            concept.name: panel.alone(concept.name, _way(concept, phrases)) for concept in concepts
        }
        for choice in choices:
            all_inputs = [
                make_merge_inputs(concept, features_of(concept, base, choice.targets))
                for concept in concepts
            ]
            made = merge(
                all_inputs,
                statistics[choice.captions],
                method=choice.method,
                penalty=choice.penalty,
                allow_ill_posed=True,
            )
            scores, _ = panel.score(_way(made.concept, phrases), alone)
            lines.append({"pair": " + ".join(names), "rows": choice.label, **asdict(scores)})
    return lines


def _way(concept: Concept, phrases: dict[str, str]) -> Way:
    return Way(update=concept.update, tokens=concept.tokens, phrases=phrases)


def _words(weights: RowWeights) -> str:
    parts = [f"{name} {value:g}" for name, value in asdict(weights).items() if value]
    return " ".join(parts) or "words only"


def main() -> None:
    """Measure, write and show.

    Raises:
        CustomDiffusionError: A setting is impossible.
        OSError: A file cannot be read or written.
    """
    job = parse(
        MergeRows,
        prog="prompt_rows.py",
        description="Measure which rows of prompts and captions a merge should look at.",
    )
    console = Console(highlight=False, markup=False, emoji=False)
    base, judge = load_base("pocket"), Judge.load(POCKET_FOLDER / "judge")
    lines = measure(job, base, judge)
    table = Table("pair", "rows", "kept", "retention", "drift")
    for line in lines:
        figures = [f"{line[name]:.3f}" for name in ("kept", "retention", "drift")]
        table.add_row(line["pair"], line["rows"], *figures)
    console.print(table)
    described = {"machine": describe_machine("cpu"), "base": base.fingerprint, "lines": lines}
    save_figures(job.json, described, console)


if __name__ == "__main__":
    run_command(main)
