"""The end of a run: the concept file, the pictures that show it, and the summary."""

import itertools
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from cdcore.concepts.concept import Concept
from cdcore.concepts.storage import save_concept
from cdcore.formats.exports.export import export_for_tools
from cdcore.formats.tensors.kv_base import KVBase
from cdcore.model.base import Base
from cdcore.pictures.grid import grid
from cdcore.pictures.png import save_picture
from cdcore.pocket.networks.judge_embedders import embedder_of
from cdcore.scoring.base_pictures import load_base_pictures
from cdcore.scoring.before_after import Evaluation, evaluate_concept, evaluate_pair, joint_metrics
from cdcore.scoring.targets import picture_pixels
from cdcore.training.inputs_grid import inputs_grid
from rayjobs.runs.loss_curves import plot_curves

if TYPE_CHECKING:
    from rayjobs.training.task import TrainTask

__all__ = ["finish_run"]

_MOST_OF_A_NAME = 80
"""Characters of a phrase in a file's name, which numbers tell apart anyway."""


def finish_run(
    base: Base, concept: Concept, task: "TrainTask", seconds: dict[str, float]
) -> dict[str, Any]:
    """Evaluate a trained concept and write all that the run promises.

    Args:
        base: The base that it was trained on.
        concept: The result.
        task: The task of the run.
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
        "ended_s": time.time(),
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


def _save_samples(evaluations: Sequence[Evaluation], name: str, folder: Path) -> list[str]:
    written = []
    for number, evaluation in enumerate(evaluations, start=1):
        of = f"-{number}-{_file_part(evaluation.label)}" if len(evaluations) > 1 else ""
        for seed, before, after in zip(
            evaluation.seeds, evaluation.base, evaluation.concept, strict=True
        ):
            path = folder / f"before-after{of}-{seed}.png"
            drawn = grid([before, after], columns=evaluation.prompts, labels=["base", name])
            described = {"prompts": evaluation.prompts, "seed": seed, "concept": name}
            save_picture(path, drawn, described)
            written.append(str(path))
    return written


def _file_part(label: str) -> str:
    """Write phrases as a part of a file's name: ``<mycat> cat`` is ``mycat-cat``."""
    return re.sub(r"[^\w-]+", "-", label).strip("-")[:_MOST_OF_A_NAME]


def _save_inputs(base: Base, task: "TrainTask") -> str:
    path = task.run.samples / "inputs.png"
    drawn = inputs_grid(
        task.pictures,
        task.config,
        resolution=base.profile.resolution,
        latent_factor=base.latent_factor,
    )
    save_picture(path, drawn, {"concept": task.config.name, "tinted": "left out of the loss"})
    return str(path)
