"""The picture grid of a sweep: what was to be learned, the base, and the best trials below them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cdcore.concepts.storage import load_concept
from cdcore.model.loading import load_local_base
from cdcore.pictures.grid import grid
from cdcore.pictures.png import save_picture
from cdcore.sampling.pipeline import sample
from cdcore.sampling.request import Request
from cdcore.scoring.base_pictures import load_base_pictures
from cdcore.scoring.before_after import PROMPTS
from cdcore.scoring.targets import picture_pixels
from rayjobs.training.task import TrainTask

__all__ = ["Entry", "draw_best"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A row of the grid.

    Attributes:
        label: What stands beside it.
        concept_file: The concept file of the trial.
    """

    label: str
    concept_file: Path


def draw_best(path: Path, task: TrainTask, entries: Sequence[Entry]) -> None:
    """Sample concepts on the evaluation prompts and save a grid; runs where a worker would.

    For several subjects there are as many rows of each kind. All pictures have the first of the
    task's sample seeds.

    Args:
        path: The path of the PNG.
        task: The task of a trial, with the file of the base's own pictures.
        entries: The best first.

    Raises:
        OSError: A file cannot be read or written.
    """
    base = load_local_base(task.base, precision=task.precision, vae=task.vae).at(task.resolution)
    plan = task.scoring
    assert plan is not None
    assert plan.base_pictures is not None
    seed = task.sample_seeds[0]
    subjects = task.config.subjects
    requests = []
    for entry in entries:
        concept = load_concept(entry.concept_file)
        update = concept.update.to(base.device)
        requests += [
            Request.of_profile(
                base,
                prompt.format(subject.phrase),
                seed,
                update=update,
                tokens=concept.tokens,
            )
            for subject in subjects
            for prompt in PROMPTS
        ]
    known = load_base_pictures(plan.base_pictures)[:, 0]
    rows = [picture_pixels(base, shown[: len(PROMPTS)]) for shown in task.targets]
    rows += list(known)
    rows += list(sample(base, requests).split(len(PROMPTS)))
    labels = [
        f"{name}\n{subject.phrase}" if len(subjects) > 1 else name
        for name in ("to resemble", "base", *(entry.label for entry in entries))
        for subject in subjects
    ]
    columns = [prompt.format(subjects[0].phrase) for prompt in PROMPTS]
    drawn = grid(rows, columns=columns, labels=labels)
    save_picture(path, drawn, {"prompts": list(PROMPTS), "seed": seed, "rows": labels})
