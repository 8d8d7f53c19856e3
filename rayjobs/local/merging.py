"""Merging in this process: concept files in; a file, a report and pictures out."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from cdcore.errors import ConfigError
from rayjobs.cli.output_checks import check_file, check_folder
from rayjobs.cli.progress_bar import bar
from rayjobs.cli.weighted_file import weighted_files

if TYPE_CHECKING:
    from cdcore.formats.tensors.kv_base import KVBase
    from cdcore.model.base import Base
from rayjobs.config.merging import MergeJob

__all__ = ["run"]


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
    _check_outputs(job, [file for file, _ in files])
    # Model libraries take seconds to import: bad input and --help should not wait for them.
    from cdcore.concepts.storage import load_concept, load_merge_inputs, save_concept
    from cdcore.formats.exports.export import clear_exports, export_for_tools
    from cdcore.formats.exports.tools import TOOLS, tools_named
    from cdcore.merging.concept_files import find_statistics, merge_files
    from cdcore.model.loading import load_local_base
    from cdcore.sampling.solvers import plan
    from rayjobs.local.merge_grid import save_merge_grid
    from rayjobs.local.merge_table import print_report

    settings, tools = job.merging, tools_named(job.export, default=TOOLS)
    all_inputs = [load_merge_inputs(file) for file, _ in files]
    base, base_name = None, job.base or all_inputs[0].base_name
    shows = job.pictures > 0
    is_needed = shows or job.base is not None or job.method == "masked"
    if is_needed or find_statistics(all_inputs, settings) is None:
        base = load_local_base(base_name)
        if job.steps is not None:
            # Before anything is written.
            plan(base.noise_schedule, base.profile.sampler, job.steps)
    described = _described(job, base, base_name) if tools and job.method != "masked" else None
    concepts = [(load_concept(file), weight) for file, weight in files] if shows else []
    started = time.monotonic()
    with bar("reading", "captions") as advance:
        merged = merge_files(files, settings, base=base, name=job.output.stem, on_progress=advance)
    seconds = time.monotonic() - started
    print_report(console, merged.report, merged.remarks)
    if merged.merge is None:
        console.print(
            "no concept file: which words an update acts on depends on the prompt; sample with "
            "rayjobs/sample.py --method masked"
        )
    else:
        save_concept(merged.merge.concept, job.output, merged.merge.inputs)
        size = job.output.stat().st_size / 1e6
        console.print(f"merged in {1000 * seconds:.0f} ms: {job.output}, {size:.2f} MB")
        if described is not None:
            export_for_tools(merged.merge.concept, described, tools, job.exports)
            console.print(f"exports: {job.exports}")
        elif job.overwrite:
            clear_exports(job.exports)
    if base is not None and shows:
        seeds = range(job.seed, job.seed + job.pictures)
        with bar("sampling", "steps") as advance:
            save_merge_grid(
                job.picture, base, merged, concepts, seeds=seeds, steps=job.steps, on_step=advance
            )
        console.print(f"pictures: {job.picture}")


def _check_outputs(job: MergeJob, files: Sequence[Path]) -> None:
    """Refuse, before anything is done, what could not be written or would be lost.

    Raises:
        ConfigError: A place is taken, or is a source.
    """
    for path in (job.output, *([job.picture] if job.pictures else [])):
        check_file(path, overwrite=job.overwrite)
    if job.output.resolve() in {file.resolve() for file in files}:
        raise ConfigError(f"--output is {job.output}, one of the sources; give another name")


def _described(job: MergeJob, base: "Base | None", base_name: str) -> "KVBase | None":
    """Describe the base for exports, and find out before anything is computed where they can go.

    Returns:
        None where there is nothing to export.

    Raises:
        BaseModelError: The base's configuration cannot be read.
        ConfigError: A place is taken.
    """
    from cdcore.formats.exports.tools import TOOLS
    from cdcore.formats.tensors.kv_base import KVBase
    from cdcore.model.meta_base import outline_base

    # No export needs weights: what is written must not depend on whether the cache spares the base.
    known = outline_base(base_name) if base is None else base
    if job.export is None and known.is_pocket:
        return None
    for folder in (job.exports, *(job.exports / tool for tool in TOOLS)):
        check_folder(folder, overwrite=job.overwrite)
    return KVBase.of(known)
