"""Sampling in this process: a base, concepts and prompts in; pictures out."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rayjobs.cli.output_checks import check_place
from rayjobs.cli.progress_bar import bar
from rayjobs.cli.weighted_file import weighted_files
from rayjobs.config.sampling import DEFAULT_BASE, SampleJob
from rayjobs.refusals.concepts import check_one_base, check_prompts, headers_of, shaped_base

if TYPE_CHECKING:
    from cdcore.concepts.concept import Concept
    from cdcore.concepts.subject import Subject
    from cdcore.model.base import Base
    from cdcore.sampling.request import Request

__all__ = ["run"]


def run(job: SampleJob) -> None:
    """Sample, save and say where.

    Raises:
        CustomDiffusionError: A file, a prompt or a setting cannot be used.
        OSError: A picture cannot be written.
    """
    prompts = job.read_prompts()
    files = weighted_files(job.concepts)
    check_place(job.output)
    headers = headers_of([file for file, _ in files])
    if len(headers) > 1 and not job.allow_other_base:
        check_one_base(headers)
    base_name = job.base or (headers[0].base_name if headers else DEFAULT_BASE)
    check_prompts([*prompts, job.negative_prompt], headers)
    shaped_base(base_name, headers)
    # Model libraries take seconds to import: what needs none should not wait for them.
    from cdcore.concepts.storage import load_concept
    from cdcore.model.loading import load_local_base
    from cdcore.sampling.pipeline import sample
    from rayjobs.local.sample_grid import sheets

    concepts = [load_concept(file) for file, _ in files]
    base = load_local_base(base_name)
    for concept in concepts:
        concept.check_base(base, allow_other_base=job.allow_other_base)
    first, subjects = _first_request(job, base, concepts, files)
    if subjects:
        _hint(subjects, prompts)
    settings = {
        "base": base.name,
        "base_fingerprint": base.fingerprint,
        "concepts": [
            {"file": file.name, "name": concept.name, "weight": weight}
            for (file, weight), concept in zip(files, concepts, strict=True)
        ],
        **({"method": job.method} if len(concepts) > 1 else {}),
    }
    # All prompts are looked at before the first is sampled, so that bad ones leave nothing behind.
    base.text_encoder.tokenize([*prompts, job.negative_prompt], list(first.tokens or ()))
    planned = sheets(prompts, job.count, first)
    saved = []
    stem = "+".join(file.stem for file, _ in files) or "base"
    with bar("sampling", "steps") as advance:
        for number, sheet in enumerate(planned):

            def on_step(step: int, steps: int, number: int = number) -> None:
                advance(number * steps + step, len(planned) * steps)

            pixels = sample(base, sheet.requests, on_step=on_step)
            saved.append(sheet.save(pixels, job.output, stem, settings))
    for grid, singles in saved:
        last = f" to {singles[-1].name}" if len(singles) > 1 else ""
        sys.stdout.write(f"grid      {grid}\npictures  {singles[0]}{last}\n")


def _first_request(
    job: SampleJob,
    base: "Base",
    concepts: Sequence["Concept"],
    files: Sequence[tuple[Path, float]],
) -> tuple["Request", list["Subject"]]:
    """Return the settings of all pictures, and what was taught."""
    from cdcore.sampling.request import Request

    update, tokens, subjects = None, None, []
    if len(concepts) > 1:
        from cdcore.merging.concept_files import merge_files

        with bar("reading", "captions") as advance:
            merged = merge_files(files, job.merging, base=base, on_progress=advance)
        for remark in merged.remarks:
            sys.stderr.write(f"note: {remark}\n")
        update = merged.update.to(base.device, base.seam.dtype)
        tokens = merged.tokens
        subjects = [subject for named in merged.subjects for subject in named]
    elif concepts:
        update = concepts[0].update.scaled(files[0][1]).to(base.device, base.seam.dtype)
        tokens = concepts[0].tokens
        subjects = list(concepts[0].subjects)
    profile = base.profile
    first = Request(
        prompt="",
        seed=job.seed,
        steps=profile.sampling_steps if job.steps is None else job.steps,
        guidance_scale=profile.guidance_scale if job.guidance is None else job.guidance,
        sampler=job.sampler or profile.sampler,
        negative_prompt=job.negative_prompt,
        update=update,
        tokens=tokens,
    )
    return first, subjects


def _hint(subjects: Sequence["Subject"], prompts: Sequence[str]) -> None:
    """Tell a user who forgot it how prompts name what was taught."""
    names = [subject.token or subject.class_noun for subject in subjects]
    if not any(name in prompt.lower() for name in names for prompt in prompts):
        phrases = " and ".join(repr(subject.phrase) for subject in subjects)
        what = "this concept" if len(subjects) == 1 else "these concepts"
        sys.stderr.write(f"note: prompts name {what} as {phrases}; none here does\n")
