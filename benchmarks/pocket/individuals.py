"""How well a pocket base can be taught individuals: ``python benchmarks/pocket/individuals.py``.

Each individual is taught on its own from eight pictures, in this process and without a cluster, and
scored against twelve others. Beside the concept's figures stand those of its description in words,
the best that the same base can do for it without being taught, and those of the real pictures.
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
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch import Tensor

from cdcore.command_line.parser import parse, run_command
from cdcore.concepts.concept import Concept
from cdcore.errors import ConfigError
from cdcore.files import write_text
from cdcore.model.base import Base
from cdcore.model.loading import load_base
from cdcore.model.location import POCKET_FOLDER
from cdcore.pictures.grid import grid
from cdcore.pictures.picture_folder import Picture
from cdcore.pictures.pixels import to_pixels
from cdcore.pictures.png import save_picture
from cdcore.pocket.drawing.individuals import INDIVIDUALS, render_individual
from cdcore.pocket.networks.judge import Judge
from cdcore.pocket.scenes.caption import full_caption
from cdcore.pocket.scenes.scene import KINDS, PLACES, Scene
from cdcore.sampling.pipeline import sample
from cdcore.sampling.request import Request
from cdcore.scoring.before_after import PROMPTS, evaluate_concept
from cdcore.scoring.metrics import image_alignment
from cdcore.training.config import SubjectConfig, TrainingConfig
from cdcore.training.preparation import prepare
from cdcore.training.trainer import train_alone

_TRAINING_PICTURES, _HELD_OUT_PICTURES = 8, 12
_PLACE_OF_PROMPT = {prompt: prompt.removeprefix("a {} ") for prompt in PROMPTS}


@dataclass(frozen=True, kw_only=True, slots=True)
class IndividualsBenchmark:
    """What to teach, and how."""

    base: str = "pocket"
    """The base: pocket, or the folder of another one with a judge."""
    names: tuple[str, ...] = ("mycat", "mychair", "mydog")
    """Individuals of the pocket world."""
    steps: int | None = None
    """Optimiser steps; unset, the profile's."""
    learning_rate: float | None = None
    """Unset, the profile's."""
    rows_per_step: int | None = None
    """Unset, the profile's."""
    regularization_ratio: float | None = None
    """Regularization rows for each target row; unset, the profile's."""
    prior_weight: float | None = None
    """Factor on the loss of regularization rows; unset, the profile's."""
    seed: int = 0
    """Seed of the training."""
    seeds: int = 3
    """Sampling seeds."""
    output: Path = Path("runs/individuals")
    """Folder for individuals.json and individuals.png."""
    json: Path | None = None
    """Write the figures to this file instead of individuals.json."""
    cache: Path = Path("~/.cache/customdiffusion")
    """Folder of regularization images and latents."""
    quick: bool = False
    """Teach the first one for a tenth of the steps, one seed: does it run?"""

    def __post_init__(self) -> None:
        """Refuse whom the world does not know."""
        unknown = [name for name in self.names if name not in INDIVIDUALS]
        if unknown or not self.names:
            raise ConfigError(
                f"--names {' '.join(unknown)}: expected some of {', '.join(INDIVIDUALS)}"
            )
        if self.seeds < 1:
            raise ConfigError(f"--seeds is {self.seeds}, expected 1 or more")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TaughtIndividual:
    """One individual taught.

    Attributes:
        figures: The figures by name.
        rows: Rows of the grid: pixels (P, 3, S, S) in [-1, 1].
        labels: The labels of the rows.
    """

    figures: dict[str, Any]
    rows: tuple[Tensor, ...]
    labels: tuple[str, ...]


def main() -> None:
    """Teach, score, write and show.

    Raises:
        CustomDiffusionError: The base or a setting cannot be used.
        OSError: A file cannot be written.
    """
    job = parse(
        IndividualsBenchmark,
        prog="individuals.py",
        description="Teach individuals of the pocket world to a pocket base, and score the result.",
    )
    console = Console()
    folder = POCKET_FOLDER if job.base == "pocket" else Path(job.base).expanduser()
    base, judge = load_base(str(folder)), Judge.load(folder / "judge")
    taught = []
    for name in job.names[:1] if job.quick else job.names:
        taught.append(teach(name, base, judge, job))
        console.print(_line(name, taught[-1].figures), highlight=False, soft_wrap=True)
    _show(console, taught)
    picture = job.output / "individuals.png"
    drawn = grid(
        [row for one in taught for row in one.rows],
        columns=PROMPTS,
        labels=[label for one in taught for label in one.labels],
    )
    save_picture(picture, drawn, {"base": base.fingerprint})
    file = job.json or job.output / "individuals.json"
    figures = {
        "base": base.fingerprint,
        "individuals": [one.figures for one in taught],
    }
    write_text(file, json.dumps(figures, indent=2) + "\n")
    for path in (file, picture):
        console.print(str(path), highlight=False, soft_wrap=True)


def teach(name: str, base: Base, judge: Judge, job: IndividualsBenchmark) -> TaughtIndividual:
    """Teach one individual and score it against pictures that training has not seen."""
    config = _config(name, base, job)
    shown = [image for image, _ in render_individual(name, _TRAINING_PICTURES, seed=0)]
    pictures = [Picture.from_image(image, Path(f"{name}.png")) for image in shown]
    held_out = _pixels([image for image, _ in render_individual(name, _HELD_OUT_PICTURES, seed=1)])
    cache = job.cache.expanduser().resolve()
    started = time.monotonic()
    data = prepare(base, config, [pictures], cache, lambda *_: None)
    prepared = time.monotonic()
    concept = train_alone(base, config, data)
    trained = time.monotonic()
    seeds = range(1 if job.quick else job.seeds)
    evaluation = evaluate_concept(base, concept, held_out, embedder=judge, seeds=seeds)
    words = _by_words(name, base, seeds)
    figures: dict[str, Any] = {
        "name": name,
        "steps": config.steps,
        "seconds": {"prepare": prepared - started, "train": trained - prepared},
        **evaluation.metrics,
        "image_alignment_by_words": None,
        "image_alignment_of_real": _alignment(judge, _pixels(shown), held_out),
        "seen": {
            "base": _seen(judge, evaluation.base, concept),
            "concept": _seen(judge, evaluation.concept, concept),
        },
    }
    rows = [held_out[: len(PROMPTS)], evaluation.base[0], evaluation.concept[0]]
    labels = [f"{name}, real", f"a {concept.subjects[0].class_noun}", concept.phrases[0]]
    if words is not None:
        figures["image_alignment_by_words"] = _alignment(judge, words, held_out)
        rows.insert(1, words[: len(PROMPTS)])
        labels.insert(1, "described in words")
    return TaughtIndividual(figures=figures, rows=tuple(rows), labels=tuple(labels))


def _config(name: str, base: Base, job: IndividualsBenchmark) -> TrainingConfig:
    noun = INDIVIDUALS[name].class_noun
    steps = base.profile.steps if job.steps is None else job.steps
    return TrainingConfig.of_profile(
        base.profile,
        name=name,
        subjects=(SubjectConfig(class_noun=noun, token=f"<{name}>", initializer_token=noun),),
        steps=max(1, steps // 10) if job.quick else steps,
        rows_per_step=job.rows_per_step,
        learning_rate=job.learning_rate,
        regularization_ratio=job.regularization_ratio,
        prior_weight=job.prior_weight,
        seed=job.seed,
    )


def _by_words(name: str, base: Base, seeds: Sequence[int]) -> Tensor | None:
    """Sample what captions of the world can say of a thing; its small details have no words."""
    thing = INDIVIDUALS[name].thing
    if thing is None:
        return None
    described = replace(thing, details=())
    captions = [full_caption(Scene(things=(described,), place=place)) for place in PLACES]
    return sample(
        base, [Request.of_profile(base, text, seed) for seed in seeds for text in captions]
    )


@torch.no_grad()
def _alignment(judge: Judge, pixels: Tensor, targets: Tensor) -> float:
    return image_alignment(judge.embed_pictures(pixels), judge.embed_pictures(targets))


@torch.no_grad()
def _seen(judge: Judge, pixels: Tensor, concept: Concept) -> dict[str, float | None]:
    """Return the shares of pictures (S, P, 3, H, W) of the right kind, and in the right place."""
    logits = judge.see(pixels.flatten(0, 1))[1]
    noun = concept.subjects[0].class_noun
    kinds = logits.kinds.argmax(dim=-1)
    kind = float((kinds == KINDS.index(noun)).double().mean()) if noun in KINDS else None
    places = logits.places.argmax(dim=-1).unflatten(0, pixels.shape[:2])
    asked = [(at, _PLACE_OF_PROMPT[prompt]) for at, prompt in enumerate(PROMPTS)]
    right = [places[:, at] == PLACES.index(place) for at, place in asked if place in PLACES]
    return {"kind": kind, "place": float(torch.stack(right).double().mean())}


def _pixels(images: Sequence[Image.Image]) -> Tensor:
    return to_pixels(torch.from_numpy(np.stack([np.asarray(image) for image in images])))


def _line(name: str, figures: dict[str, Any]) -> str:
    seconds = figures["seconds"]
    return f"{name}: prepared in {seconds['prepare']:.0f} s, taught in {seconds['train']:.0f} s"


def _show(console: Console, taught: Sequence[TaughtIndividual]) -> None:
    table = Table(title="Taught individuals, by the judge", title_justify="left")
    table.add_column("individual")
    for name in ("image", "by words", "real", "text", "drift", "kind", "place"):
        table.add_column(name, justify="right")
    for one in taught:
        figures = one.figures
        seen = [
            f"{_number(figures['seen']['base'][what])} -> "
            f"{_number(figures['seen']['concept'][what])}"
            for what in ("kind", "place")
        ]
        table.add_row(
            figures["name"],
            _change(figures["image_alignment"]),
            _number(figures["image_alignment_by_words"]),
            _number(figures["image_alignment_of_real"]),
            _change(figures["text_alignment"]),
            _number(figures["prior_drift"]),
            *seen,
        )
    console.print(table)


def _change(value: dict[str, float]) -> str:
    return f"{value['base']:.3f} -> {value['concept']:.3f}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    run_command(main)
