"""The configuration of compression as a user writes it."""

from dataclasses import dataclass
from pathlib import Path

from cdcore.command_line.values import Location
from cdcore.concepts.rank_rule import Rule, RuleName, Scope
from cdcore.errors import ConfigError
from rayjobs.cli.output_checks import check_file

__all__ = ["CompressJob"]

RULES: tuple[RuleName, ...] = ("rank", "energy", "mass", "size")


@dataclass(frozen=True, kw_only=True, slots=True)
class CompressJob:
    """What to compress, and how far.

    Raises:
        ConfigError: A setting is impossible.
    """

    source: Path
    """Concept file; may stand first, without this flag."""
    output: Path
    """Concept file to write, NAME.safetensors; may stand second, without this flag."""
    rank: int | None = None
    """Keep this rank."""
    energy: float | None = None
    """Keep this share of the sum of squared singular values of each matrix, such as 0.9."""
    mass: float | None = None
    """Keep this share of the sum of singular values, as the original implementation does at 0.6."""
    size: float | None = None
    """Make the file at most this large, in MB (10^6 bytes)."""
    scope: Scope = "matrix"
    """Whether each matrix gets factors of its own, or the whole stack one pair."""
    base: Location | None = None
    """Base model; unset, the one that the concept was trained on."""
    overwrite: bool = False
    """Replace an output that exists."""

    def __post_init__(self) -> None:
        """Refuse what no later step would."""
        given = [name for name in RULES if getattr(self, name) is not None]
        if len(given) != 1:
            flags = " or ".join(f"--{name}" for name in RULES)
            raise ConfigError(f"give one of {flags}, and only one; {len(given)} were given")
        if self.output.suffix != ".safetensors":
            raise ConfigError(f"--output is {self.output}, expected a name in .safetensors")
        if self.output.resolve() == self.source.resolve():
            raise ConfigError(f"--output is {self.output}, the source itself; give another name")
        if self.size is None:
            _ = Rule(name=given[0], value=getattr(self, given[0]))
        check_file(self.output, overwrite=self.overwrite)
