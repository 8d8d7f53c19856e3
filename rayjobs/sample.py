"""Sample pictures from prompts: a grid, and single files with their settings inside.

It runs in this process and needs no cluster.
"""

import sys
from pathlib import Path

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from rayjobs.quiet import silence

silence()

import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cdcore.errors import ConfigError
from cdcore.sampler import SamplerName
from rayjobs.cli import parse, run_command

if TYPE_CHECKING:
    from cdcore.base import Base
    from cdcore.concept import Concept
    from cdcore.sampling import Request

__all__ = ["SampleJob", "main", "run", "weighted_file"]

_DEFAULT_BASE = "pocket"


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleJob:
    """What to sample, and how.

    Raises:
        ConfigError: A setting is impossible.
    """

    concepts: tuple[str, ...] = ()
    """Concept file, or FILE:WEIGHT to scale what was taught; without one the base is sampled."""
    prompt: str | None = None
    """What to draw, such as "a <mycat> cat on the beach"."""
    prompts: Path | None = None
    """File with one prompt on each line; empty lines and lines that begin with # are skipped."""
    negative_prompt: str = ""
    """What guidance leads away from."""
    count: int = 4
    """Pictures of each prompt."""
    output: Path = Path("samples")
    """Folder to write to; files that are there stay."""
    seed: int = 0
    """Of the first picture of each prompt; the others follow it by one."""
    steps: int | None = None
    """Steps of the sampler; unset, the base decides."""
    guidance: float | None = None
    """How strongly to follow the prompt, at least 1 (off); unset, the base decides."""
    sampler: SamplerName | None = None
    """Solver; unset, the base decides."""
    base: str | None = None
    """Base model: pocket, sd1.4, sd1.5, a diffusers folder or a hub id; unset, the concept's own,
    or pocket."""
    allow_other_base: bool = False
    """Use a concept on another base of the same shape than the one it was trained on."""

    def __post_init__(self) -> None:
        """Refuse what no later step would."""
        if (self.prompt is None) == (self.prompts is None):
            raise ConfigError("give either --prompt TEXT or --prompts FILE, and not both")
        if self.count < 1:
            raise ConfigError(f"--count is {self.count}, expected 1 or more")
        if len(self.concepts) > 1:
            raise ConfigError(
                f"{len(self.concepts)} concepts were given, but concepts cannot be merged yet; "
                "give one"
            )

    def read_prompts(self) -> tuple[str, ...]:
        """Return the prompts.

        Raises:
            ConfigError: The file of prompts cannot be read, or has none.
        """
        if self.prompts is None:
            return (self.prompt or "",)
        try:
            lines = self.prompts.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not a text in UTF-8"
            raise ConfigError(f"--prompts {self.prompts}: cannot be read ({reason})") from error
        stripped = [line.strip() for line in lines]
        prompts = tuple(line for line in stripped if line and not line.startswith("#"))
        if not prompts:
            raise ConfigError(f"--prompts {self.prompts}: no prompt in it; write one on each line")
        return prompts


def weighted_file(text: str) -> tuple[Path, float]:
    """Split ``FILE`` or ``FILE:WEIGHT``; without a weight it is 1.

    Raises:
        ConfigError: The weight is not a finite number.
    """
    file, colon, weight = text.rpartition(":")
    if not colon or not file or "/" in weight or Path(text).exists():
        return Path(text), 1.0
    try:
        factor = float(weight)
    except ValueError:
        factor = math.nan
    if not math.isfinite(factor):
        raise ConfigError(
            f"concept {text!r}: the weight is {weight!r}, expected a number as in {file}:0.8"
        )
    return Path(file), factor


def run(job: SampleJob) -> None:
    """Sample, save and say where.

    Raises:
        CustomDiffusionError: A file, a prompt or a setting cannot be used.
        OSError: A picture cannot be written.
    """
    prompts = job.read_prompts()
    files = [weighted_file(text) for text in job.concepts]
    _check_writable(job.output)
    # Model libraries take seconds to import: bad input and --help should not wait for them.
    from cdcore.base import load_base
    from cdcore.concept import load_concept
    from cdcore.sampling import sample
    from rayjobs.sheet import sheets

    concepts = [load_concept(file) for file, _ in files]
    name = job.base or (concepts[0].base_name if concepts else _DEFAULT_BASE)
    on_gpu = torch.cuda.is_available()
    base = load_base(
        name,
        device="cuda" if on_gpu else "cpu",
        dtype=torch.bfloat16 if on_gpu else torch.float32,
    )
    for concept in concepts:
        concept.check_base(base, allow_other_base=job.allow_other_base)
        _hint(concept, prompts)
    first = _first_request(job, base, concepts, [weight for _, weight in files])
    settings = {
        "base": base.name,
        "base_fingerprint": base.fingerprint,
        "concepts": [
            {"file": file.name, "name": concept.name, "weight": weight}
            for (file, weight), concept in zip(files, concepts, strict=True)
        ],
    }
    # All prompts are looked at before the first is sampled, so that bad ones leave nothing behind.
    base.text_encoder.tokenize([*prompts, job.negative_prompt], list(first.tokens or ()))
    planned = sheets(prompts, job.count, first)
    saved = []
    with _progress(len(planned) * first.steps) as advance:
        for sheet in planned:
            pixels = sample(base, sheet.requests, on_step=advance)
            stem = files[0][0].stem if files else "base"
            saved.append(sheet.save(pixels, job.output, stem, settings))
    for grid, singles in saved:
        last = f" to {singles[-1].name}" if len(singles) > 1 else ""
        sys.stdout.write(f"grid      {grid}\npictures  {singles[0]}{last}\n")


def main() -> None:
    """Run the command."""
    run(
        parse(
            SampleJob,
            prog="sample.py",
            description="Sample pictures from prompts: a grid of all, and single files with their "
            "settings inside.",
            groups={
                "sampling": ("seed", "steps", "guidance", "sampler"),
                "base": ("base", "allow_other_base"),
            },
        )
    )


def _first_request(
    job: SampleJob, base: "Base", concepts: Sequence["Concept"], weights: Sequence[float]
) -> "Request":
    from cdcore.sampling import Request

    update, tokens = None, None
    for concept, weight in zip(concepts, weights, strict=True):
        update = concept.update.scaled(weight).to(base.device, base.seam.dtype)
        tokens = concept.tokens
    profile = base.profile
    return Request(
        prompt="",
        seed=job.seed,
        steps=profile.sampling_steps if job.steps is None else job.steps,
        guidance_scale=profile.guidance_scale if job.guidance is None else job.guidance,
        sampler=job.sampler or profile.sampler,
        negative_prompt=job.negative_prompt,
        update=update,
        tokens=tokens,
    )


def _check_writable(folder: Path) -> None:
    """Find out before sampling, without leaving an empty folder behind, whether files can go there.

    Raises:
        ConfigError: They cannot.
    """
    absolute = folder.absolute()
    existing = next(path for path in (absolute, *absolute.parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        kind = "not writable" if existing.is_dir() else "not a folder"
        raise ConfigError(f"--output {folder}: {existing} is {kind}; choose another folder")


def _hint(concept: "Concept", prompts: Sequence[str]) -> None:
    """Tell a user who forgot it how prompts name the concept."""
    if not any(token in prompt for token in concept.tokens for prompt in prompts):
        phrases = " and ".join(map(repr, concept.phrases))
        sys.stderr.write(f"note: prompts name this concept as {phrases}; none here does\n")


@contextmanager
def _progress(total_steps: int) -> Iterator[Callable[[int, int], Any]]:
    """Show a bar on a terminal; the value is to be called after each step."""
    columns = (
        TextColumn("sampling"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("steps"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    hidden = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=hidden) as bar:
        task = bar.add_task("", total=total_steps)
        yield lambda _done, _total: bar.advance(task)


if __name__ == "__main__":
    run_command(main)
