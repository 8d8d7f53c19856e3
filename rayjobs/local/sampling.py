"""Sampling in this process: a base, concepts and prompts in; pictures out."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cdcore.errors import one_line
from cdcore.model.foreign_syntax import foreign_syntax
from cdcore.model.unread_text import UnreadText, notes_on
from cdcore.user_paths import check_length
from rayjobs.cli.caption_notes import caption_notes
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

_REMEDY = "give a concept and its weight as --concepts mycat.safetensors:0.8"

Files = Sequence[tuple[Path, float]]
"""Concept files with their weights."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Taught:
    """What the pictures are sampled with.

    Attributes:
        first: The settings of all pictures, with the first seed and no prompt.
        concepts: Each concept as the files say of it: name, file, weight.
        subjects: What each concept teaches, with its tokens as prompts name them now.
    """

    first: "Request"
    concepts: tuple[Mapping[str, Any], ...]
    subjects: tuple[tuple["Subject", ...], ...]


def run(job: SampleJob) -> None:
    """Sample, save and say where.

    Raises:
        CustomDiffusionError: A file, a prompt or a setting cannot be used.
        OSError: A picture cannot be written.
    """
    prompts = job.read_prompts()
    files = weighted_files(job.concepts)
    stem = "+".join(file.stem for file, _ in files) or "base"
    check_place(job.output)
    check_length(job.output / f"{stem}-00000.png")
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
    base = load_local_base(base_name, device=job.device, precision=job.precision, vae=job.vae).at(
        job.resolution
    )
    for concept in concepts:
        concept.check_base(base, allow_other_base=job.allow_other_base)
    taught = _taught(job, base, concepts, files)
    settings = {
        "base": base.name,
        "base_fingerprint": base.fingerprint,
        "concepts": list(taught.concepts),
        **({"method": job.method} if len(concepts) > 1 else {}),
    }
    # All prompts are looked at before the first is sampled, so that bad ones leave nothing behind.
    texts = list(dict.fromkeys([*prompts, job.negative_prompt]))
    base.text_encoder.tokenize(texts, list(taught.first.tokens or ()))
    unread = {text: base.text_encoder.unread(text) for text in texts}
    _print_notes(_notes(taught, prompts, unread))
    of_prompts = {
        prompt: _provenance(taught, unread[prompt], unread[job.negative_prompt])
        for prompt in prompts
    }
    planned = sheets(prompts, job.count, taught.first)
    saved = []
    with bar("sampling", "steps") as advance:
        for number, sheet in enumerate(planned):

            def on_step(step: int, steps: int, number: int = number) -> None:
                advance(number * steps + step, len(planned) * steps)

            pixels = sample(base, sheet.requests, on_step=on_step)
            saved.append(sheet.save(pixels, job.output, stem, settings, of_prompts))
    for grid, singles in saved:
        last = f" to {one_line(singles[-1].name)}" if len(singles) > 1 else ""
        sys.stdout.write(f"grid      {one_line(grid)}\npictures  {one_line(singles[0])}{last}\n")


def _taught(job: SampleJob, base: "Base", concepts: Sequence["Concept"], files: Files) -> _Taught:
    """Put the concepts together, and their settings with what the base decides."""
    from cdcore.sampling.request import Request

    update, tokens = None, None
    subjects = tuple(tuple(concept.subjects) for concept in concepts)
    if len(concepts) > 1:
        from cdcore.merging.concept_files import merge_files

        if job.captions is not None:
            bank = job.merging.bank(pocket=base.is_pocket)
            captions = (*bank.fitted, *bank.held_out)
            _print_notes(caption_notes(captions, base.text_encoder.unread))
        with bar("reading", "captions") as advance:
            merged = merge_files(files, job.merging, base=base, on_progress=advance)
        _print_notes(merged.remarks)
        update = merged.update.to(base.device, base.seam.dtype)
        tokens = merged.tokens
        subjects = merged.subjects
    elif concepts:
        update = concepts[0].update.scaled(files[0][1]).to(base.device, base.seam.dtype)
        tokens = concepts[0].tokens
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
    described = tuple(
        {"file": file.name, "name": concept.name, "weight": weight}
        for (file, weight), concept in zip(files, concepts, strict=True)
    )
    return _Taught(first=first, concepts=described, subjects=subjects)


def _notes(
    taught: _Taught, prompts: Sequence[str], unread: Mapping[str, UnreadText | None]
) -> list[str]:
    """Say what of the prompts will not do what whoever wrote them may think."""
    hints = [line for text in unread for line in foreign_syntax(text, _REMEDY)]
    subjects = [subject for named in taught.subjects for subject in named]
    names = _names(subjects)
    if subjects and not any(name in prompt.lower() for name in names for prompt in prompts):
        phrases = " and ".join(repr(subject.phrase) for subject in subjects)
        what = "this concept" if len(subjects) == 1 else "these concepts"
        hints.append(f"prompts name {what} as {phrases}; none here does")
    return [*dict.fromkeys(hints), *notes_on(list(unread.values()))]


def _provenance(
    taught: _Taught, unread: UnreadText | None, unread_negative: UnreadText | None
) -> dict[str, Any]:
    """Return what a prompt's pictures say of themselves: what was not read, and of which concept.

    Nothing where the base reads all of both prompts.
    """
    cut = {"prompt": unread, "negative_prompt": unread_negative}
    texts = {name: one.text for name, one in cut.items() if one is not None}
    if not texts:
        return {}
    concepts = [
        {**described, "unread": unread is not None and unread.hides(_names(named))}
        for described, named in zip(taught.concepts, taught.subjects, strict=True)
    ]
    return {"concepts": concepts, "unread": texts}


def _names(subjects: Iterable["Subject"]) -> list[str]:
    """Return what prompts name the subjects by, in lower case."""
    return [subject.token or subject.class_noun.lower() for subject in subjects]


def _print_notes(notes: Iterable[str]) -> None:
    for note in notes:
        sys.stderr.write(f"note: {one_line(note)}\n")
