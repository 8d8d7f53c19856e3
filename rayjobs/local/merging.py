"""Merging in this process: concept files in; a file, a report and pictures out."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from cdcore.errors import ConfigError, one_line
from cdcore.formats.exports.tool_names import TOOLS, ToolName, tools_named
from cdcore.merging.caption_bank import read_captions
from cdcore.model.unread_text import notes_on
from rayjobs.cli.caption_notes import print_caption_notes
from rayjobs.cli.output_checks import check_file, check_folder
from rayjobs.cli.progress_bar import bar
from rayjobs.cli.weighted_file import weighted_files
from rayjobs.config.merging import MergeJob
from rayjobs.refusals.concepts import check_one_base, headers_of, shaped_base

if TYPE_CHECKING:
    from cdcore.concepts.concept import Concept
    from cdcore.concepts.merge_inputs import MergeInputs
    from cdcore.formats.tensors.kv_base import KVBase
    from cdcore.merging.concept_files import MergedConcepts
    from cdcore.model.base import Base

__all__ = ["run"]

Files = Sequence[tuple[Path, float]]
"""Concept files with their weights."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Ready:
    """What a merge is made with; once it is there, nothing is refused for how it was asked.

    Attributes:
        base: The base, where pictures, the method or missing statistics need it.
        described: The base as exports describe it; None exports nothing.
        tools: The tools that exports are written for.
        shown: The concepts that pictures show alone, with their weights.
    """

    base: "Base | None"
    described: "KVBase | None"
    tools: Sequence[ToolName]
    shown: Sequence[tuple["Concept", float]]


def run(job: MergeJob, console: Console) -> None:
    """Merge, save, report and show.

    Args:
        job: What to do.
        console: Prints the report.

    Raises:
        CustomDiffusionError: A file or a setting cannot be used, or the merge is ill-posed.
        OSError: A file cannot be written.
    """
    files = weighted_files(job.concepts)
    tools = _checked(job, [file for file, _ in files])
    # Model libraries take seconds to import: what needs none should not wait for them.
    from cdcore.merging.concept_files import merge_files
    from rayjobs.local.merge_table import print_report

    ready = _ready(job, files, tools)
    if job.captions is not None and ready.base is not None:
        bank = read_captions(job.captions)
        captions = (*bank.fitted, *bank.held_out)
        print_caption_notes(captions, ready.base.text_encoder.unread, console)
    started = time.monotonic()
    with bar("reading", "captions") as advance:
        merged = merge_files(
            files, job.merging, base=ready.base, name=job.output.stem, on_progress=advance
        )
    seconds = time.monotonic() - started
    print_report(console, merged.report, merged.remarks)
    _save(job, merged, ready, seconds, console)
    if ready.shown:
        _show(job, merged, ready, console)


def _checked(job: MergeJob, files: Sequence[Path]) -> tuple[ToolName, ...]:
    """Refuse what names, numbers and headers say, before anything is imported for the work.

    Returns:
        The tools to export for.

    Raises:
        CustomDiffusionError: A file, a place or a setting cannot be used.
    """
    _check_outputs(job, files)
    tools = tools_named(job.export, default=TOOLS)
    if tools and job.export is not None and job.method != "masked":
        _check_exports(job)
    if job.captions is not None:
        read_captions(job.captions)
    headers = headers_of(files)
    check_one_base(headers)
    if _shows(job) or job.base is not None or job.method == "masked":
        shaped_base(job.base or headers[0].base_name, headers)
    return tools


def _check_outputs(job: MergeJob, files: Sequence[Path]) -> None:
    """Refuse, before anything is done, what could not be written or would be lost.

    Raises:
        ConfigError: A place is taken, or is a source.
    """
    for path in (job.output, *([job.picture] if _shows(job) else [])):
        check_file(path, overwrite=job.overwrite)
    if job.output.resolve() in {file.resolve() for file in files}:
        raise ConfigError(f"--output is {job.output}, one of the sources; give another name")


def _shows(job: MergeJob) -> bool:
    return job.pictures > 0


def _ready(job: MergeJob, files: Files, tools: Sequence[ToolName]) -> _Ready:
    """Load what the merge is made with, and find out what only the base can refuse.

    Raises:
        CustomDiffusionError: A file, the base or a setting cannot be used.
    """
    from cdcore.concepts.storage import load_concept, load_merge_inputs

    all_inputs = [load_merge_inputs(file) for file, _ in files]
    name = job.base or all_inputs[0].base_name
    base = _needed_base(job, name, all_inputs)
    is_exported = bool(tools) and job.method != "masked"
    return _Ready(
        base=base,
        described=_described(job, base, name) if is_exported else None,
        tools=tools,
        shown=[(load_concept(file), weight) for file, weight in files] if _shows(job) else [],
    )


def _needed_base(job: MergeJob, name: str, all_inputs: Sequence["MergeInputs"]) -> "Base | None":
    """Load the base, or return None where the cache has all that a merge wants of it.

    Raises:
        CustomDiffusionError: It cannot be read, or cannot take so many steps.
    """
    from cdcore.merging.concept_files import find_statistics
    from cdcore.model.loading import load_local_base
    from cdcore.sampling.solvers import plan

    is_asked = _shows(job) or job.base is not None or job.method == "masked"
    is_asked |= any(inputs.is_coarse for inputs in all_inputs)
    if not is_asked and find_statistics(all_inputs, job.merging) is not None:
        return None
    base = load_local_base(name)
    if job.steps is not None:
        plan(base.noise_schedule, base.profile.sampler, job.steps)
    return base


def _described(job: MergeJob, base: "Base | None", base_name: str) -> "KVBase | None":
    """Describe the base for exports, and find out before anything is computed where they can go.

    Returns:
        None where there is nothing to export.

    Raises:
        BaseModelError: The base's configuration cannot be read.
        ConfigError: A place is taken.
    """
    from cdcore.formats.tensors.kv_base import KVBase
    from cdcore.model.meta_base import outline_base

    # No export needs weights: what is written must not depend on whether the cache spares the base.
    known = outline_base(base_name) if base is None else base
    if job.export is None and known.is_pocket:
        return None
    _check_exports(job)
    return KVBase.of(known)


def _check_exports(job: MergeJob) -> None:
    for folder in (job.exports, *(job.exports / tool for tool in TOOLS)):
        check_folder(folder, overwrite=job.overwrite)


def _save(
    job: MergeJob, merged: "MergedConcepts", ready: _Ready, seconds: float, console: Console
) -> None:
    """Write the merged concept and its exports, if the method has made one."""
    if merged.merge is None:
        console.print(
            "no concept file: which words an update acts on depends on the prompt; sample with "
            "rayjobs/sample.py --method masked"
        )
        return
    from cdcore.concepts.storage import save_concept
    from cdcore.formats.exports.export import clear_exports, export_for_tools

    save_concept(merged.merge.concept, job.output, merged.merge.inputs)
    size = job.output.stat().st_size / 1e6
    console.print(f"merged in {1000 * seconds:.0f} ms: {one_line(job.output)}, {size:.2f} MB")
    if ready.described is not None:
        export_for_tools(merged.merge.concept, ready.described, ready.tools, job.exports)
        console.print(f"exports: {one_line(job.exports)}")
    elif job.overwrite:
        clear_exports(job.exports)


def _show(job: MergeJob, merged: "MergedConcepts", ready: _Ready, console: Console) -> None:
    """Sample and save the pictures."""
    from rayjobs.local.merge_grid import picture_prompts, save_merge_grid

    assert ready.base is not None
    encoder = ready.base.text_encoder
    for note in notes_on([encoder.unread(prompt) for prompt in picture_prompts(merged)]):
        console.print(f"note: {note}", soft_wrap=True)
    seeds = range(job.seed, job.seed + job.pictures)
    with bar("sampling", "steps") as advance:
        save_merge_grid(
            job.picture,
            ready.base,
            merged,
            ready.shown,
            seeds=seeds,
            steps=job.steps,
            on_step=advance,
        )
    console.print(f"pictures: {one_line(job.picture)}")
