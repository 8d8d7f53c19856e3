"""The configuration of sampling as a user writes it."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cdcore.command_line.values import Location
from cdcore.errors import ConfigError
from cdcore.files import read_texts
from cdcore.merging.settings import DEFAULT_METHOD, DEFAULT_PENALTY, MergeSettings, MixMethod
from cdcore.model.profiles import SamplerName, check_resolution
from cdcore.user_paths import expanded

__all__ = ["SampleJob"]

DEFAULT_BASE = "pocket"
_SEEDS = 2**64


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleJob:
    """What to sample, and how.

    Raises:
        ConfigError: A setting is impossible.
    """

    concepts: tuple[Location, ...] = ()
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
    method: MixMethod = DEFAULT_METHOD
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
    base: Location | None = None
    """Base model: pocket, sd1.4, sd1.5, sdxl, a diffusers folder, a checkpoint in one file or a
    hub id; unset, the concept's own, or pocket."""
    vae: Location | None = None
    """Autoencoder in place of the base's own: a folder, one file, or a hub id."""
    resolution: int | None = None
    """Side of the pictures in pixels, a multiple of 64; unset, what the base was trained on."""
    precision: Literal["auto", "bf16", "fp16", "fp32"] = "auto"
    """What the U-Net computes in; auto is bf16 on a GPU, fp32 on a CPU."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to sample; auto is the GPU where there is one."""
    allow_other_base: bool = False
    """Use a concept on another base of the same shape than the one it was trained on."""

    def __post_init__(self) -> None:
        """Refuse what no later step would."""
        if (self.prompt is None) == (self.prompts is None):
            raise ConfigError("give either --prompt TEXT or --prompts FILE, and not both")
        if self.resolution is not None:
            check_resolution(self.resolution)
        if self.count < 1:
            raise ConfigError(f"--count is {self.count}, expected 1 or more")
        if not 0 < self.penalty < math.inf:
            raise ConfigError(
                f"the penalty is {self.penalty}, expected a number above 0; near 0 gives the "
                "concepts all their way, as 'constrained' does"
            )
        if self.steps is not None and self.steps < 1:
            raise ConfigError(f"--steps is {self.steps}, expected 1 or more")
        if not 0 <= self.seed < _SEEDS:
            raise ConfigError(f"--seed is {self.seed}, expected 0 to 2**64 - 1")
        if self.guidance is not None and not self.guidance >= 1:
            raise ConfigError(
                f"--guidance is {self.guidance}, expected a number of at least 1 (off)"
            )

    @property
    def merging(self) -> MergeSettings:
        """How several concepts are put together."""
        return MergeSettings(
            method=self.method,
            penalty=self.penalty,
            captions=self.captions,
            cache=Path(expanded(str(self.cache))),
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
            prompts = read_texts(self.prompts)
        except OSError as error:
            raise ConfigError(
                f"--prompts {self.prompts}: cannot be read ({error.strerror})"
            ) from error
        if not prompts:
            raise ConfigError(f"--prompts {self.prompts}: no prompt in it; write one on each line")
        return prompts
