"""The pictures of a merge: each concept alone, each beside the others, and all in one picture."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cdcore.concepts.concept import Concept
from cdcore.concepts.subject import Subject
from cdcore.merging.concept_files import MergedConcepts
from cdcore.model.base import Base
from cdcore.pictures.grid import grid
from cdcore.pictures.png import save_picture
from cdcore.sampling.pipeline import sample
from cdcore.sampling.request import Request

__all__ = ["picture_prompts", "save_merge_grid"]


def save_merge_grid(  # noqa: PLR0913 - most are keywords
    path: Path,
    base: Base,
    merged: MergedConcepts,
    concepts: Sequence[tuple[Concept, float]],
    *,
    seeds: Sequence[int],
    steps: int | None = None,
    on_step: Callable[[int, int], None] | None = None,
) -> None:
    """Sample and save a grid: a column for each subject and one for all, two rows for each seed.

    Args:
        path: Ends in ``.png``.
        base: Of the concepts.
        merged: Made of the concepts.
        concepts: With their weights, in the order of the merged files.
        seeds: Of the pictures.
        steps: Of the sampler; None lets the base decide.
        on_step: Called with the steps done and all of them.

    Raises:
        OSError: The file cannot be written.
    """
    prompts = picture_prompts(merged)
    rows, labels = [], []
    for seed in seeds:
        alone = [
            _request(base, prompt, seed, steps, update=update, tokens=concept.tokens)
            for concept, weight in concepts
            for update in [concept.update.scaled(weight).to(base.device, base.seam.dtype)]
            for prompt in [subject.target_prompts[1] for subject in concept.subjects]
        ]
        used = merged.update.to(base.device, base.seam.dtype)
        rows += [
            alone,
            [
                _request(base, prompt, seed, steps, update=used, tokens=merged.tokens)
                for prompt in prompts
            ],
        ]
        labels += [f"alone, seed {seed}", f"{merged.report.method}, seed {seed}"]
    pixels = sample(base, [request for row in rows for request in row], on_step=on_step)
    sheet = grid(
        pixels.split([len(row) for row in rows]),
        columns=[request.prompt for request in rows[1]],
        labels=labels,
    )
    settings = {"base": base.name, "method": merged.report.method, "seeds": list(seeds)}
    save_picture(path, sheet, settings)


def picture_prompts(merged: MergedConcepts) -> list[str]:
    """Return the prompts of a merge's pictures: of each subject, and of all of them if several."""
    subjects = [subject for named in merged.subjects for subject in named]
    together = [] if len(subjects) < 2 else [_together(subjects)]
    return [*(subject.target_prompts[1] for subject in subjects), *together]


def _together(subjects: Sequence[Subject]) -> str:
    """Return a prompt that names all."""
    return "a " + " next to a ".join(subject.phrase for subject in subjects)


def _request(base: Base, prompt: str, seed: int, steps: int | None, **used: Any) -> Request:
    request = Request.of_profile(base, prompt, seed, **used)
    return request if steps is None else replace(request, steps=steps)
