"""The end of a run: the concept file, the pictures that show it, and the summary."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from cdcore.augmentation import apply_variant, plain_variant
from cdcore.base import POCKET_FOLDER, Base
from cdcore.concept import Concept, save_concept
from cdcore.curves import plot_curves
from cdcore.evaluation import Embedder, Evaluation, evaluate_concept
from cdcore.grid import grid, save_picture
from cdcore.pictures import Picture
from cdcore.pocket.judge import Judge

if TYPE_CHECKING:
    from rayjobs.train_worker import TrainTask

__all__ = ["finish_run"]

_INPUTS_PER_ROW = 6


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
    evaluation = evaluate_concept(
        base,
        concept,
        _pixels(base, task.targets),
        embedder=_embedder(base),
        seeds=task.sample_seeds,
        on_step=lambda done, total: run.write_phase("sampling", done, total),
    )
    concept = replace(concept, training=asdict(task.config), metrics=evaluation.metrics)
    save_concept(concept, run.concept_file, base)
    samples = _save_samples(evaluation, concept, task)
    samples.append(_save_inputs(base, task))
    plot_curves(run.read_metrics(), run.path / "curves.png")
    return {
        "name": run.name,
        "status": "finished",
        "base": base.name,
        "steps": task.config.steps,
        "seconds": seconds,
        "concept_file": str(run.concept_file),
        "samples": samples,
        "metrics": evaluation.metrics,
    }


def _embedder(base: Base) -> Embedder | None:
    if not base.is_pocket or not (POCKET_FOLDER / "judge").is_dir():
        return None
    return Judge.load(POCKET_FOLDER / "judge")


def _pixels(base: Base, pictures: Sequence[Picture]) -> Tensor:
    resolution = base.profile.resolution
    variant = plain_variant(resolution, flip=False)
    shown = [
        apply_variant(picture.image, variant, resolution, base.latent_factor)[0]
        for picture in pictures
    ]
    return torch.stack(shown)


def _save_samples(evaluation: Evaluation, concept: Concept, task: "TrainTask") -> list[str]:
    folder = task.run.samples
    prompts = [prompt.format(concept.phrases[0]) for prompt in evaluation.prompts]
    written = []
    for seed, before, after in zip(
        evaluation.seeds, evaluation.base, evaluation.concept, strict=True
    ):
        path = folder / f"before-after-{seed}.png"
        sheet = grid([before, after], columns=prompts, labels=["base", concept.name])
        save_picture(path, sheet, {"prompts": prompts, "seed": seed, "concept": concept.name})
        written.append(str(path))
    return written


def _save_inputs(base: Base, task: "TrainTask") -> str:
    path = task.run.samples / "inputs.png"
    shown = _pixels(base, task.pictures)
    save_picture(path, grid(shown.split(_INPUTS_PER_ROW)), {"concept": task.config.name})
    return str(path)
