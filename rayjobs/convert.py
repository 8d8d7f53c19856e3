"""Convert a concept to and from the files of other tools.

``python rayjobs/convert.py delta.bin mycat.safetensors --to concept --base sd1.4 --class-noun cat``
"""

import sys
from pathlib import Path

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from rayjobs.quiet import silence

silence()

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import torch
from rich.console import Console

from cdcore.compression import Rule, RuleName
from cdcore.errors import ConfigError
from cdcore.registry_entry import check_name
from rayjobs.cli import parse, run_command
from rayjobs.compress import error_table
from rayjobs.outputs import check_file, check_folder

if TYPE_CHECKING:
    from cdcore.concept import Concept
    from cdcore.formats.format import Format
    from cdcore.formats.kv_base import KVBase
    from cdcore.formats.source import Source

__all__ = ["ConvertJob", "main", "run"]

_RULES: tuple[RuleName, ...] = ("rank", "energy", "mass", "size")

FormatName = Literal[
    "concept",
    "adobe",
    "adobe-compressed",
    "compvis",
    "compvis-compressed",
    "custom-diffusion",
    "lycoris",
    "kohya",
    "diffusers-lora",
    "peft-lora",
    "embedding",
    "comfyui",
    "a1111",
    "diffusers",
    "peft",
]
"""A format; or a tool: a folder with all that it needs, and USE.md."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ConvertJob:
    """What to convert, and to what.

    Raises:
        ConfigError: A setting is impossible.
        RegistryError: No registry can have a concept of that name.
    """

    source: Path
    """Concept file, or another tool's file or folder; its format is found out. May stand first,
    without this flag."""
    output: Path
    """File to write, or folder for formats of several files, which holds one concept; may stand
    second, without this flag."""
    to: FormatName
    """Format to write, or tool to write all files for."""
    base: str | None = None
    """Base model: a diffusers folder, a checkpoint file or a name such as sd1.4. Needed where the
    source or the result holds absolute weights; unset, the concept's own."""
    class_noun: tuple[str, ...] = ()
    """What kind of thing each token is, in their order; other tools' files do not say it."""
    name: str | None = None
    """Name of the concept; unset, that of the source."""
    dtype: Literal["fp16", "fp32"] = "fp16"
    """Of stored differences and rows; absolute weights are always fp32."""
    rank: int | None = None
    """LoRA-type formats: keep this rank."""
    energy: float | None = None
    """LoRA-type formats: keep this share of the sum of squared singular values of each matrix;
    unset, factors are written exactly and anything dense at 0.95."""
    mass: float | None = None
    """LoRA-type formats: keep this share of the sum of singular values."""
    size: float | None = None
    """LoRA-type formats: let the factors take at most this many MB in half precision."""
    overwrite: bool = False
    """Replace an output file that exists, or the concept that was written to the folder before;
    other files there stay."""

    def __post_init__(self) -> None:
        """Refuse what no later step would."""
        given = [name for name in _RULES if getattr(self, name) is not None]
        if len(given) > 1:
            raise ConfigError(f"give one of --{' and --'.join(given)}, not both")
        if self.output.resolve() == self.source.resolve():
            raise ConfigError(f"--output is {self.output}, the source itself; give another name")
        if self.name is not None:
            check_name(self.name)

    @property
    def torch_dtype(self) -> torch.dtype:
        """What differences and rows are stored in."""
        return torch.float16 if self.dtype == "fp16" else torch.float32

    @property
    def rule(self) -> Rule | None:
        """How far to compress, or None."""
        for name in _RULES:
            value = getattr(self, name)
            if value is not None:
                return Rule(name=name, value=value * 1e6 if name == "size" else value)
        return None


def run(job: ConvertJob, console: Console) -> None:
    """Read, convert, write and say what.

    Raises:
        CustomDiffusionError: A file or a setting cannot be used.
        OSError: A file cannot be written.
    """
    # Model libraries take seconds to import: bad input and --help should not wait for them.
    from cdcore.formats.kv_base import KVBase
    from cdcore.formats.registry import FORMATS
    from cdcore.formats.source import read_source
    from cdcore.formats.tools import TOOLS, export_for_tool

    format_ = FORMATS.get(job.to)
    _check(job, format_)
    if job.to == "concept":
        _to_concept(job, console)
        return
    source = read_source(
        job.source,
        base=None if job.base is None else KVBase.load(job.base),
        nouns=job.class_noun,
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


def _check(job: ConvertJob, format_: "Format | None") -> None:
    """Find out before anything is read what cannot be written.

    Raises:
        ConfigError: The output does not suit the format or cannot be written, or something would
            be lost.
    """
    suffixes = (".safetensors",) if job.to == "concept" else format_.suffixes if format_ else ()
    if suffixes and job.output.suffix not in suffixes:
        raise ConfigError(
            f"--output is {job.output}, but {job.to} is a file in {' or '.join(suffixes)}"
        )
    if not suffixes and job.output.is_file():
        raise ConfigError(f"--output is {job.output}, a file, but {job.to} is a folder of files")
    _check_apart(job)
    check = check_file if suffixes else check_folder
    check(job.output, overwrite=job.overwrite)
    is_low_rank = job.to in ("comfyui", "a1111", "diffusers", "peft") or (
        format_ is not None and format_.holds == "factors"
    )
    if job.rule is not None and not is_low_rank:
        raise ConfigError(
            f"--{job.rule.name} is for formats of low rank, which {job.to} is not; compress.py "
            "makes smaller concept files"
        )


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
    from cdcore.base import load_base
    from cdcore.concept import save_concept
    from cdcore.formats.kv_base import KVBase
    from cdcore.formats.source import read_source

    base = None if job.base is None else load_base(job.base)
    if base is not None and base.text_encoder.embedding_table.shape[1] != base.seam.layout.shape[1]:
        raise ConfigError(
            f"--base {job.base} has two text encoders; concept files of Stable Diffusion XL cannot "
            "be made yet, convert to the format of a tool"
        )
    known = None if base is None else KVBase.of(base)
    source = read_source(job.source, base=known, nouns=job.class_noun, name=job.name)
    _describe(source, job, console)
    base = base or load_base(source.concept.base_name)
    concept = source.concept
    if not concept.base_fingerprint:
        concept = replace(concept, base_name=base.name, base_fingerprint=base.fingerprint)
    save_concept(concept.renamed(job.name or job.output.stem), job.output, base)
    _list([job.output], console)


def _describe(source: "Source", job: ConvertJob, console: Console) -> None:
    phrases = ", ".join(repr(phrase) for phrase in source.concept.phrases)
    console.print(f"{job.source}: {source.title}; it teaches {phrases}", soft_wrap=True)
    for note in source.notes:
        console.print(f"note: {note}", soft_wrap=True)


def _factored(concept: "Concept", base: "KVBase", rule: Rule | None, console: Console) -> "Concept":
    from cdcore.formats.low_rank import factored

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
    from cdcore.formats.export_folder import clear_export
    from cdcore.formats.registry import FORMATS

    clear_export(folder)
    for format_ in FORMATS.values():
        if format_.earlier is not None and folder.is_dir():
            for path in format_.earlier(folder):
                path.unlink()


def _list(paths: Sequence[Path], console: Console) -> None:
    for path in paths:
        console.print(f"{path.stat().st_size / 1e6:.2f} MB: {path}", soft_wrap=True)


def main() -> None:
    """Run the command."""
    job = parse(
        ConvertJob,
        prog="convert.py",
        description="Convert a concept: convert.py SOURCE OUTPUT --to FORMAT.",
        groups={"compression": _RULES},
        leading=("source", "output"),
    )
    run(job, Console(highlight=False, markup=False, emoji=False))


if __name__ == "__main__":
    run_command(main)
