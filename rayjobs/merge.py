"""Merge concepts into one file, say what was kept of each, and show it.

``python rayjobs/merge.py --concepts a.safetensors b.safetensors:0.8 --output ab.safetensors``. It
runs in this process and needs no cluster.
"""

import sys
from pathlib import Path

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from rayjobs.quiet import silence

silence()

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console

from cdcore.errors import ConfigError
from cdcore.merge_settings import DEFAULT_METHOD, DEFAULT_PENALTY
from rayjobs.bar import bar
from rayjobs.blend_settings import BlendMethod, BlendSettings
from rayjobs.cli import parse, run_command
from rayjobs.outputs import check_file, check_folder
from rayjobs.weighted_file import weighted_files

if TYPE_CHECKING:
    from cdcore.base import Base
    from cdcore.formats.kv_base import KVBase

__all__ = ["MergeJob", "main", "run"]

_SEEDS = 2**64


@dataclass(frozen=True, kw_only=True, slots=True)
class MergeJob:
    """What to merge, and how.

    Raises:
        ConfigError: A setting is impossible.
    """

    concepts: tuple[str, ...]
    """Concept files; FILE:WEIGHT scales what was taught."""
    output: Path
    """Concept file to write, NAME.safetensors; beside it go the pictures, NAME.png, and files for
    other tools, NAME-exports/."""
    method: BlendMethod = DEFAULT_METHOD
    """How: fit many prompts of each (ridge), meet the target prompts of all exactly (constrained),
    or, to compare with, add the updates, or let each act on its own words alone."""
    penalty: float = DEFAULT_PENALTY
    """Of ridge: how much a change on captions weighs against one on a concept."""
    captions: Path | None = None
    """File with ordinary captions, one on each line; unset, the project's own."""
    allow_ill_posed: bool = False
    """Merge even what would be refused."""
    overwrite: bool = False
    """Replace outputs that exist."""
    export: str | None = None
    """Tools to write files for: comfyui,a1111,diffusers,peft, or 'all' or 'none'; unset, all but
    on a pocket base."""
    pictures: int = 1
    """Pictures of each prompt; 0 shows none."""
    seed: int = 0
    """Of the first picture of each prompt; the others follow it by one."""
    steps: int | None = None
    """Steps of the sampler; unset, the base decides."""
    base: str | None = None
    """Base model; unset, the one that the concepts were trained on."""
    cache: Path = Path("~/.cache/customdiffusion")
    """Folder of caption statistics, shared by all merges."""

    def __post_init__(self) -> None:
        """Refuse what no later step would."""
        if not self.concepts:
            raise ConfigError("--concepts is empty, expected concept files")
        if self.output.suffix != ".safetensors":
            raise ConfigError(f"--output is {self.output}, expected a name in .safetensors")
        for name, least in (("pictures", 0), ("seed", 0), ("steps", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ConfigError(f"--{name} is {value}, expected {least} or more")
        if self.seed + self.pictures > _SEEDS:
            raise ConfigError(
                f"--seed is {self.seed} and --pictures {self.pictures}, expected seeds below 2**64"
            )

    @property
    def picture(self) -> Path:
        """Where the pictures go."""
        return self.output.with_suffix(".png")

    @property
    def exports(self) -> Path:
        """Where other tools' files go: of this merge alone, for others may lie beside it."""
        return self.output.with_name(f"{self.output.stem}-exports")

    @property
    def blending(self) -> BlendSettings:
        """How the concepts are put together."""
        return BlendSettings(
            method=self.method,
            penalty=self.penalty,
            captions=self.captions,
            cache=self.cache.expanduser(),
            allow_ill_posed=self.allow_ill_posed,
        )


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
    from cdcore.concept import load_card, load_concept, save_concept
    from cdcore.formats.tools import TOOLS, clear_exports, export_for_tools, tools_named
    from cdcore.sampler import plan
    from rayjobs.blend import find_statistics, make_blend
    from rayjobs.blend_sheet import save_blend_sheet
    from rayjobs.blend_table import print_report
    from rayjobs.local_base import load_local_base

    settings, tools = job.blending, tools_named(job.export, default=TOOLS)
    cards = [load_card(file) for file, _ in files]
    base, base_name = None, job.base or cards[0].base_name
    shows = job.pictures > 0
    is_needed = shows or job.base is not None or job.method == "masked"
    if is_needed or find_statistics(cards, settings) is None:
        base = load_local_base(base_name)
        if job.steps is not None:
            # Before anything is written.
            plan(base.noise_schedule, base.profile.sampler, job.steps)
    described = _described(job, base, base_name) if tools and job.method != "masked" else None
    concepts = [(load_concept(file), weight) for file, weight in files] if shows else []
    started = time.monotonic()
    with bar("reading", "captions") as advance:
        blend = make_blend(files, settings, base=base, name=job.output.stem, on_progress=advance)
    seconds = time.monotonic() - started
    print_report(console, blend.report, blend.remarks)
    if blend.merge is None:
        console.print(
            "no concept file: which words an update acts on depends on the prompt; sample with "
            "rayjobs/sample.py --method masked"
        )
    else:
        save_concept(blend.merge.concept, job.output, blend.merge.card)
        size = job.output.stat().st_size / 1e6
        console.print(f"merged in {1000 * seconds:.0f} ms: {job.output}, {size:.2f} MB")
        if described is not None:
            export_for_tools(blend.merge.concept, described, tools, job.exports)
            console.print(f"exports: {job.exports}")
        elif job.overwrite:
            clear_exports(job.exports)
    if base is not None and shows:
        seeds = range(job.seed, job.seed + job.pictures)
        with bar("sampling", "steps") as advance:
            save_blend_sheet(
                job.picture, base, blend, concepts, seeds=seeds, steps=job.steps, on_step=advance
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
    from cdcore.base_outline import outline_base
    from cdcore.formats.kv_base import KVBase
    from cdcore.formats.tools import TOOLS

    # No export needs weights: what is written must not depend on whether the cache spares the base.
    known = outline_base(base_name) if base is None else base
    if job.export is None and known.is_pocket:
        return None
    for folder in (job.exports, *(job.exports / tool for tool in TOOLS)):
        check_folder(folder, overwrite=job.overwrite)
    return KVBase.of(known)


def main() -> None:
    """Run the command."""
    job = parse(
        MergeJob,
        prog="merge.py",
        description="Merge concepts into one file, say what was kept of each, and show it.",
        groups={
            "merging": ("method", "penalty", "captions", "allow_ill_posed", "overwrite", "export"),
            "pictures": ("pictures", "seed", "steps"),
            "base": ("base", "cache"),
        },
    )
    run(job, Console(highlight=False, markup=False, emoji=False, soft_wrap=True))


if __name__ == "__main__":
    run_command(main)
