"""The driver of the training job: check everything, run Ray Train, say where things are."""

import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from rich.console import Console

from cdcore.errors import first_line, one_line
from cdcore.formats.exports.tool_names import TOOLS, tools_named
from cdcore.model.base_files import local_base
from cdcore.model.loading import load_base
from cdcore.pictures.picture_folder import (
    Picture,
    are_photographs,
    picture_warnings,
    read_pictures,
    split_holdout,
)
from cdcore.training.config import TrainingConfig
from cdcore.training.row_schedule import rows_per_worker
from raycluster.connection import connected
from rayjobs.cli.console import plain_console
from rayjobs.cli.unread_pictures import print_unread
from rayjobs.cluster.scaling import scaling, tell_if_busy
from rayjobs.cluster.shared_storage import check_shared
from rayjobs.config.training import TrainJob, resolve
from rayjobs.runs.checkpoints import last_checkpoint
from rayjobs.runs.progress import RunProgress
from rayjobs.runs.publishing import open_registry, publish
from rayjobs.runs.result_paths import absolute, base_name, result_folder
from rayjobs.runs.run_directory import RunDirectory
from rayjobs.training.brought_pictures import brought_pictures, print_notes_on_brought
from rayjobs.training.dry_run import dry_run
from rayjobs.training.fit import fit
from rayjobs.training.identity import as_begun, differences, digest, identity
from rayjobs.training.task import TrainTask

__all__ = ["checked", "train"]

_POCKET_NOTE = (
    "the pocket base is a drawn world of 64 x 64 pixels; for photographs take --base sd1.4"
)
_RAY_FOLDER = ".ray"
"""A folder in the run, where Ray Train keeps its own notes while the run lasts."""


def train(job: TrainJob) -> dict[str, Any]:
    """Run the job to its end.

    Returns:
        The summary, as in ``run.json``; of a dry run, what it has printed.

    Raises:
        CustomDiffusionError: Something that the user can mend, before or during the run.
        OSError: A folder cannot be written.
        KeyboardInterrupt: The user, or a signal, has ended it; the same job goes on from there.
    """
    started = time.monotonic()
    console = plain_console()
    begun = RunDirectory(result_folder(job.output, "--output") / job.name)
    if not job.overwrite:
        job = as_begun(job, begun.read_config())
    if job.dry_run:
        return dry_run(job, console)
    task, asked = checked(job, console)
    registry = open_registry(job.registry)
    run = task.run
    with run.locked():
        if _is_finished(job, run, asked):
            console.print(f"run {run.name!r} is already finished; --overwrite trains it again")
            summary = run.read_summary()
        else:
            console.print(_plan(job, task))
            try:
                with RunProgress(run, console), connected():
                    summary = _run(job, task, asked, console)
            except KeyboardInterrupt:
                console.print("the same command goes on from the last checkpoint")
                raise
            seconds = summary["seconds"]
            seconds["total"] = time.monotonic() - started + seconds["earlier"]
            run.write_summary(summary)
        if registry is not None:
            summary["published"] = publish(registry, run)
            run.write_summary(summary)
    _print_result(console, run, summary)
    return summary


def checked(
    job: TrainJob, console: Console, *, most_regularization: int = 0
) -> tuple[TrainTask, dict[str, Any]]:
    """Find out all that can be wrong without a cluster.

    Args:
        job: As the user wrote it.
        console: Prints notes for the user.
        most_regularization: Pictures to read of a regularization folder where some run shows more
            of them than this one.

    Returns:
        What workers need, and the run's identity.

    Raises:
        CustomDiffusionError: The job could not be started.
        OSError: The cache cannot be written.
    """
    pictures = [read_pictures(absolute(source.images)) for source in job.sources]
    training, targets = [], []
    for shown in pictures:
        kept, held_out = split_holdout(shown, job.holdout)
        training.append(kept)
        targets.append(held_out or kept)
    vae = None if job.vae is None else base_name(job.vae)
    own = load_base(base_name(job.base), vae=vae)
    if job.resolution == own.profile.resolution:
        # What is said twice makes no other run.
        job = replace(job, resolution=None)
    base = own.at(job.resolution)
    config = resolve(job, base)
    resolution = base.profile.resolution
    regularization = brought_pictures(job, config, resolution, most=most_regularization)
    asked = identity(job, config, base, training, regularization)
    print_unread((absolute(source.images) for source in job.sources), console)
    print_notes_on_brought(job, regularization, base.text_encoder.unread, console)
    _print_notes(console, config, pictures, resolution)
    if base.is_pocket and any(map(are_photographs, pictures)):
        console.print(f"note: {_POCKET_NOTE}")
    task = TrainTask(
        config=config,
        base=base.name,
        pictures=training,
        targets=targets,
        run=RunDirectory(result_folder(job.output, "--output") / job.name),
        cache=result_folder(job.cache, "--cache"),
        zero_stage=job.zero_stage,
        checkpoint_every=job.checkpoint_every,
        sample_seeds=job.sample_seeds,
        identity=digest(asked),
        regularization=regularization,
        exports=tools_named(job.export, default=() if base.is_pocket else TOOLS),
        vae=vae,
        resolution=job.resolution,
        precision=job.precision,
    )
    task.cache.mkdir(parents=True, exist_ok=True)
    return task, asked


def _print_notes(
    console: Console, config: TrainingConfig, pictures: Sequence[Sequence[Picture]], resolution: int
) -> None:
    for subject, shown in zip(config.subjects, pictures, strict=True):
        of = f"{subject.phrase}: " if len(config.subjects) > 1 else ""
        for warning in picture_warnings(shown, resolution):
            console.print(f"note: {of}{one_line(warning)}")


def _is_finished(job: TrainJob, run: RunDirectory, asked: dict[str, Any]) -> bool:
    """Decide between a new run, one to continue, and one that is done.

    Raises:
        RunError: The name is taken by something else.
    """
    stored = run.read_config()
    if stored is None or job.overwrite:
        return False
    differences(stored, asked)
    is_done = run.read_summary().get("status") == "finished" and run.concept_file.exists()
    return is_done and stored["steps"] == asked["steps"]


def _run(job: TrainJob, task: TrainTask, asked: dict[str, Any], console: Console) -> dict[str, Any]:
    run = task.run
    is_small = local_base(task.base).is_pocket
    resources = scaling(job.workers, console, gpus=job.gpus, is_small=is_small)
    tell_if_busy(console, resources)
    check_shared(run.path, kind="GPU" if resources.use_gpu else "CPU")
    if job.overwrite:
        run.clear()
    task = replace(task, session=run.begin())
    run.write_config(asked)
    run.write_summary({"name": run.name, "status": "running"})
    # A killed driver's Ray may write for seconds more, so each start has a folder of its own.
    notes = run.path / _RAY_FOLDER
    shutil.rmtree(notes, ignore_errors=True)
    try:
        return fit(task, resources, notes, tell=lambda line: console.print(f"note: {line}"))
    except BaseException as error:
        _note_end(task, error)
        raise
    finally:
        shutil.rmtree(notes, ignore_errors=True)


def _note_end(task: TrainTask, error: BaseException) -> None:
    """Leave nothing half-written, and say in ``run.json`` how the run has ended."""
    run = task.run
    summary = {"name": run.name, "status": "interrupted"}
    if not isinstance(error, KeyboardInterrupt):
        summary |= {"status": "failed", "error": first_line(error)}
    # A full disk must not hide what went wrong. What was being written goes first: on a full disk
    # there is no room for anything else.
    with suppress(OSError):
        last_checkpoint(run.checkpoints, task.identity)
    with suppress(OSError):
        run.write_summary(summary)


def _plan(job: TrainJob, task: TrainTask) -> str:
    config = task.config
    phrases = " and ".join(repr(subject.phrase) for subject in config.subjects)
    counts = " and ".join(str(len(shown)) for shown in task.pictures)
    folders = [
        one_line(one.regularization) for one in job.sources if one.regularization is not None
    ]
    shown = f" (pictures of {' and '.join(folders)})" if folders else ""
    return (
        f"teaching {phrases} to {one_line(task.base)} from {counts} pictures: "
        f"{config.steps} steps of {config.target_rows} target and "
        f"{config.regularization_rows} regularization rows{shown}, "
        f"{_shares(config.rows_per_step, job.workers)}"
    )


def _shares(rows: int, workers: int) -> str:
    if workers == 1:
        return "all on 1 worker"
    each = rows_per_worker(rows, workers)
    empty = each * workers - rows
    return f"{each} on each of {workers} workers" + (f", {empty} of them empty" if empty else "")


def _print_result(console: Console, run: RunDirectory, summary: dict[str, Any]) -> None:
    metrics = summary.get("metrics", {})
    for name, text in _figures(metrics):
        console.print(f"{name}: {text}")
    for label, of_part in (metrics.get("subjects", {}) | metrics.get("pairs", {})).items():
        console.print(f"{label}: {', '.join(f'{name} {text}' for name, text in _figures(of_part))}")
    console.print(f"pictures: {one_line(run.samples)}", soft_wrap=True)
    if "published" in summary:
        console.print(f"published: {one_line(summary['published']['file'])}", soft_wrap=True)
    for tool, folder in summary.get("exports", {}).items():
        console.print(f"for {tool}: {one_line(folder)} (see USE.md there)", soft_wrap=True)
    console.print(f"concept:  {one_line(run.concept_file)}", soft_wrap=True)


def _figures(metrics: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in metrics.items():
        if name in {"spread", "subjects", "pairs"}:
            continue
        is_of_both = isinstance(value, dict)
        text = f"{value['base']:.3f} -> {value['concept']:.3f}" if is_of_both else f"{value:.3f}"
        yield name.replace("_", " "), text
