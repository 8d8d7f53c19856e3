"""The configuration of a merge as a user writes it."""

import math
from dataclasses import dataclass
from pathlib import Path

from cdcore.command_line.values import Location
from cdcore.errors import ConfigError
from cdcore.merging.settings import DEFAULT_METHOD, DEFAULT_PENALTY, MergeSettings, MixMethod
from cdcore.user_paths import expanded

__all__ = ["MergeJob"]

_SEEDS = 2**64


@dataclass(frozen=True, kw_only=True, slots=True)
class MergeJob:
    """What to merge, and how.

    Raises:
        ConfigError: A setting is impossible.
    """

    concepts: tuple[Location, ...]
    """Concept files; FILE:WEIGHT scales what was taught."""
    output: Path
    """Concept file to write, NAME.safetensors; beside it go the pictures, NAME.png, and files for
    other tools, NAME-exports/."""
    method: MixMethod = DEFAULT_METHOD
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
    base: Location | None = None
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
        if not 0 < self.penalty < math.inf:
            raise ConfigError(
                f"the penalty is {self.penalty}, expected a number above 0; near 0 gives the "
                "concepts all their way, as 'constrained' does"
            )
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
    def merging(self) -> MergeSettings:
        """How the concepts are put together."""
        return MergeSettings(
            method=self.method,
            penalty=self.penalty,
            captions=self.captions,
            cache=Path(expanded(str(self.cache))),
            allow_ill_posed=self.allow_ill_posed,
        )
