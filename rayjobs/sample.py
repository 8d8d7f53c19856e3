"""Sample pictures from prompts: a grid, and single files with their settings inside.

It runs in this process and needs no cluster.
"""

import sys
from pathlib import Path

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from rayjobs.quiet import silence

silence()

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cdcore.errors import ConfigError
from cdcore.merge_settings import DEFAULT_METHOD, DEFAULT_PENALTY
from cdcore.sampler import SamplerName
from rayjobs.bar import bar
from rayjobs.blend_settings import BlendMethod, BlendSettings
from rayjobs.cli import parse, run_command
from rayjobs.outputs import check_place
from rayjobs.weighted_file import weighted_files

if TYPE_CHECKING:
    from cdcore.base import Base
    from cdcore.concept import Concept
    from cdcore.sampling import Request
    from cdcore.subject import Subject

__all__ = ["SampleJob", "main", "run"]

_DEFAULT_BASE = "pocket"


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleJob:
    """What to sample, and how.

    Raises:
        ConfigError: A setting is impossible.
    """

    concepts: tuple[str, ...] = ()
    """Concept files, or FILE:WEIGHT to scale what was taught; several are merged, without one the
    base is sampled."""
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
    method: BlendMethod = DEFAULT_METHOD
    """How several concepts are put together: merged to fit many prompts of each (ridge), or to meet
    the target prompts of all exactly (constrained); or, to compare with, updates added, or each
    acting on its own words alone."""
    penalty: float = DEFAULT_PENALTY
    """Of ridge: how much a change on captions weighs against one on a concept."""
    captions: Path | None = None
    """File with ordinary captions for merging, one on each line; unset, the project's own."""
    allow_ill_posed: bool = False
    """Merge even what would be refused."""
    cache: Path = Path("~/.cache/customdiffusion")
    """Folder of caption statistics, shared by all merges."""
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

    @property
    def blending(self) -> BlendSettings:
        """How several concepts are put together."""
        return BlendSettings(
            method=self.method,
            penalty=self.penalty,
            captions=self.captions,
            cache=self.cache.expanduser(),
            allow_ill_posed=self.allow_ill_posed,
            allow_other_base=self.allow_other_base,
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


def run(job: SampleJob) -> None:
    """Sample, save and say where.

    Raises:
        CustomDiffusionError: A file, a prompt or a setting cannot be used.
        OSError: A picture cannot be written.
    """
    prompts = job.read_prompts()
    files = weighted_files(job.concepts)
    check_place(job.output)
    # Model libraries take seconds to import: bad input and --help should not wait for them.
    from cdcore.concept import load_concept
    from cdcore.sampling import sample
    from rayjobs.local_base import load_local_base
    from rayjobs.sheet import sheets

    concepts = [load_concept(file) for file, _ in files]
    base = load_local_base(job.base or (concepts[0].base_name if concepts else _DEFAULT_BASE))
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
                "merging": ("method", "penalty", "captions", "allow_ill_posed", "cache"),
                "base": ("base", "allow_other_base"),
            },
        )
    )


def _first_request(
    job: SampleJob,
    base: "Base",
    concepts: Sequence["Concept"],
    files: Sequence[tuple[Path, float]],
) -> tuple["Request", list["Subject"]]:
    """Return the settings of all pictures, and what was taught."""
    from cdcore.sampling import Request

    update, tokens, subjects = None, None, []
    if len(concepts) > 1:
        from rayjobs.blend import make_blend

        with bar("reading", "captions") as advance:
            blend = make_blend(files, job.blending, base=base, on_progress=advance)
        for remark in blend.remarks:
            sys.stderr.write(f"note: {remark}\n")
        update = blend.update.to(base.device, base.seam.dtype)
        tokens = blend.tokens
        subjects = [subject for named in blend.subjects for subject in named]
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


if __name__ == "__main__":
    run_command(main)
