"""The end of a run: the concept file, the pictures that show it, and the summary."""

import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from cdcore.augmentation import apply_variant, plain_variant
from cdcore.base import POCKET_FOLDER, Base
from cdcore.concept import Concept, save_concept
from cdcore.curves import plot_curves
from cdcore.evaluation import (
    Embedder,
    Evaluation,
    evaluate_concept,
    evaluate_pair,
    joint_metrics,
)
from cdcore.formats.kv_base import KVBase
from cdcore.formats.tools import export_for_tools
from cdcore.grid import grid, save_picture
from cdcore.inputs import inputs_sheet
from cdcore.pictures import Picture
from cdcore.pocket.judge import Judge
from rayjobs.base_pictures import load_base_pictures

if TYPE_CHECKING:
    from rayjobs.train_worker import TrainTask

__all__ = ["embedder_of", "finish_run", "picture_pixels"]


def finish_run(
    base: Base, concept: Concept, task: "TrainTask", seconds: dict[str, float]
) -> dict[str, Any]:
    """Evaluate a trained concept and write all that the run promises.

    Args:
        base: It was trained on.
        concept: The result.
        task: Of the run.
        seconds: Time taken so far, by phase.

    Returns:
        The summary, as in ``run.json``.

    Raises:
        OSError: The run directory cannot be written.
    """
    run = task.run
    subjects, pairs = _evaluations(base, concept, task)
    metrics = joint_metrics(subjects, pairs)
    concept = replace(concept, training=asdict(task.config), metrics=metrics)
    save_concept(concept, run.concept_file, base)
    samples = _save_samples([*subjects, *pairs], concept.name, run.samples)
    samples.append(_save_inputs(base, task))
    plot_curves(run.read_metrics(), run.path / "curves.png")
    exports = export_for_tools(concept, KVBase.of(base), task.exports, run.path / "exports")
    return {
        "name": run.name,
        "status": "finished",
        "base": base.name,
        "steps": task.config.steps,
        "seconds": seconds,
        "concept_file": str(run.concept_file),
        "samples": samples,
        "exports": {export.tool: str(export.folder) for export in exports},
        "metrics": metrics,
    }


def _evaluations(
    base: Base, concept: Concept, task: "TrainTask"
) -> tuple[list[Evaluation], list[Evaluation]]:
    """Evaluate every subject, and of several each with the next one."""
    targets = [picture_pixels(base, shown) for shown in task.targets]
    shared: dict[str, Any] = {"embedder": embedder_of(base), "seeds": task.sample_seeds}
    names = concept.phrases
    before: Sequence[Tensor | None] = [None] * len(targets)
    if task.scoring is not None and task.scoring.base_pictures is not None:
        before = list(load_base_pictures(task.scoring.base_pictures))

    def telling(label: str) -> Callable[[int, int], None]:
        phase = f"sampling {label}" if len(names) > 1 else "sampling"
        return lambda done, total: task.run.write_phase(phase, done, total)

    subjects = [
        evaluate_concept(
            base,
            concept,
            shown,
            subject=number,
            before=before[number],
            on_step=telling(names[number]),
            **shared,
        )
        for number, shown in enumerate(targets)
    ]
    pairs = [
        evaluate_pair(
            base,
            concept,
            (targets[one], targets[other]),
            pair=(one, other),
            on_step=telling(f"{names[one]} and {names[other]}"),
            **shared,
        )
        for one, other in itertools.pairwise(range(len(targets)))
    ]
    return subjects, pairs


def embedder_of(base: Base) -> Embedder | None:
    """Return what judges pictures of a base, or None where there is nothing."""
    if not base.is_pocket or not (POCKET_FOLDER / "judge").is_dir():
        return None
    return Judge.load(POCKET_FOLDER / "judge")


def picture_pixels(base: Base, pictures: Sequence[Picture]) -> Tensor:
    """Return pixels (N, 3, S, S) in [-1, 1] of pictures, whole and upright."""
    resolution = base.profile.resolution
    variant = plain_variant(resolution, flip=False)
    shown = [
        apply_variant(picture.image, variant, resolution, base.latent_factor)[0]
        for picture in pictures
    ]
    return torch.stack(shown)


def _save_samples(evaluations: Sequence[Evaluation], name: str, folder: Path) -> list[str]:
    written = []
    for number, evaluation in enumerate(evaluations, start=1):
        of = f"-{number}-{_file_part(evaluation.label)}" if len(evaluations) > 1 else ""
        for seed, before, after in zip(
            evaluation.seeds, evaluation.base, evaluation.concept, strict=True
        ):
            path = folder / f"before-after{of}-{seed}.png"
            sheet = grid([before, after], columns=evaluation.prompts, labels=["base", name])
            described = {"prompts": evaluation.prompts, "seed": seed, "concept": name}
            save_picture(path, sheet, described)
            written.append(str(path))
    return written


def _file_part(label: str) -> str:
    """Write phrases as a part of a file's name: ``<mycat> cat`` is ``mycat-cat``."""
    return re.sub(r"[^\w-]+", "-", label).strip("-")


def _save_inputs(base: Base, task: "TrainTask") -> str:
    path = task.run.samples / "inputs.png"
    sheet = inputs_sheet(
        task.pictures,
        task.config,
        resolution=base.profile.resolution,
        latent_factor=base.latent_factor,
    )
    save_picture(path, sheet, {"concept": task.config.name, "tinted": "left out of the loss"})
    return str(path)
