"""Conversion in this process: another tool's file in, a concept out, or the other way."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from cdcore.concepts.rank_rule import Rule
from cdcore.errors import ConceptFileError, ConfigError, one_line
from cdcore.formats.exports.tool_names import TOOLS
from rayjobs.cli.output_checks import check_file, check_folder
from rayjobs.config.conversion import LOW_RANK, SUFFIXES, ConvertJob
from rayjobs.local.file_compression import error_table

if TYPE_CHECKING:
    from cdcore.concepts.concept import Concept
    from cdcore.formats.format import Format
    from cdcore.formats.source import Source
    from cdcore.formats.tensors.kv_base import KVBase
    from cdcore.model.base import Base

__all__ = ["run"]


def run(job: ConvertJob, console: Console) -> None:
    """Read, convert, write and say what.

    Raises:
        CustomDiffusionError: A file or a setting cannot be used.
        OSError: A file cannot be written.
    """
    _check(job)
    # Model libraries take seconds to import: what needs none should not wait for them.
    from cdcore.formats.exports.export import export_for_tool
    from cdcore.formats.known_formats import FORMATS
    from cdcore.formats.source import read_source
    from cdcore.formats.tensors.kv_base import KVBase

    format_ = FORMATS.get(job.to)
    if job.to == "concept":
        _to_concept(job, console)
        return
    source = read_source(
        job.source,
        base=None if job.base is None else partial(KVBase.load, job.base),
        nouns=job.class_noun,
        new_tokens=job.modifier_token,
        name=job.name,
        needs_weights=format_ is not None and format_.holds == "weights",
    )
    _describe(source, job, console)
    concept = source.concept
    if job.rule is not None or (format_ is not None and format_.holds == "factors"):
        concept = _factored(concept, source.base, job.rule, console)
    if format_ is not None:
        _write(job, concept, source.base, format_, console)
    for tool in TOOLS:
        if tool == job.to:
            _clear(job.output)
            made = export_for_tool(concept, source.base, tool, job.output, job.torch_dtype)
            _list([made.folder / file for file in made.files], console)


def _check(job: ConvertJob) -> None:
    """Find out before anything is read what cannot be read or written.

    Raises:
        ConfigError: The output does not suit the format or cannot be written, or something would
            be lost.
        ConceptFileError: There is no source.
    """
    suffix = SUFFIXES.get(job.to)
    if suffix is not None and job.output.suffix != suffix:
        raise ConfigError(f"--output is {job.output}, but {job.to} is a file in {suffix}")
    if suffix is None and job.output.is_file():
        raise ConfigError(f"--output is {job.output}, a file, but {job.to} is a folder of files")
    _check_apart(job)
    check = check_folder if suffix is None else check_file
    check(job.output, overwrite=job.overwrite)
    if job.rule is not None and job.to not in LOW_RANK:
        raise ConfigError(
            f"--{job.rule.name} is for formats of low rank, which {job.to} is not; compress.py "
            "makes smaller concept files"
        )
    if not job.source.exists():
        raise ConceptFileError(f"{job.source}: no such file")


def _check_apart(job: ConvertJob) -> None:
    """Refuse an output that could replace what is read; the source may be a folder too.

    Raises:
        ConfigError: One is inside the other.
    """
    source, output = job.source.resolve(), job.output.resolve()
    if source.is_relative_to(output):
        raise ConfigError(f"--output is {job.output}, which holds the source; give another folder")
    if output.is_relative_to(source) and output.is_file():
        raise ConfigError(f"--output is {job.output}, a file of the source; give another name")


def _to_concept(job: ConvertJob, console: Console) -> None:
    from cdcore.concepts.storage import save_concept
    from cdcore.formats.source import read_source
    from cdcore.formats.tensors.kv_base import KVBase

    # Each takes seconds: a source that is refused should not wait for them.
    load = cache(partial(_loaded, job.base)) if job.base is not None else None
    source = read_source(
        job.source,
        base=None if load is None else lambda: KVBase.of(load()),
        nouns=job.class_noun,
        new_tokens=job.modifier_token,
        name=job.name,
    )
    _describe(source, job, console)
    base = load() if load is not None else _loaded(source.concept.base_name)
    concept = source.concept
    if not concept.base_fingerprint:
        concept = replace(concept, base_name=base.name, base_fingerprint=base.fingerprint)
    save_concept(concept.renamed(job.name or job.output.stem), job.output, base)
    _list([job.output], console)


def _loaded(name: str) -> "Base":
    from cdcore.model.loading import load_base

    return load_base(name)


def _describe(source: "Source", job: ConvertJob, console: Console) -> None:
    phrases = ", ".join(repr(phrase) for phrase in source.concept.phrases)
    console.print(f"{one_line(job.source)}: {source.title}; it teaches {phrases}", soft_wrap=True)
    for note in source.notes:
        console.print(f"note: {one_line(note)}", soft_wrap=True)


def _factored(concept: "Concept", base: "KVBase", rule: Rule | None, console: Console) -> "Concept":
    from cdcore.formats.exports.factored import factored

    made, lost = factored(concept, base.layout, rule)
    if lost is not None:
        console.print(error_table(lost))
        console.print(f"error of the whole stack: {lost.error:.2%}")
    return made


def _write(
    job: ConvertJob, concept: "Concept", base: "KVBase", format_: "Format", console: Console
) -> None:
    artifacts = format_.write(concept, base, job.torch_dtype)
    paths = [job.output if format_.suffixes else job.output / a.path for a in artifacts]
    if not format_.suffixes:
        _clear(job.output)
    for artifact, path in zip(artifacts, paths, strict=True):
        artifact.save(path)
    _list(paths, console)
    if concept.tokens and not format_.has_tokens:
        console.print(
            f"note: {' and '.join(concept.tokens)} is not in such a file; --to embedding writes it"
        )


def _clear(folder: Path) -> None:
    """Delete the concept that was written to a folder before, for a tool or in a format."""
    from cdcore.formats.exports.folder import clear_export
    from cdcore.formats.known_formats import FORMATS

    clear_export(folder)
    for format_ in FORMATS.values():
        if format_.earlier is not None and folder.is_dir():
            for path in format_.earlier(folder):
                path.unlink()


def _list(paths: Sequence[Path], console: Console) -> None:
    for path in paths:
        console.print(f"{path.stat().st_size / 1e6:.2f} MB: {one_line(path)}", soft_wrap=True)
