"""Compress a concept file: low-rank factors, and what they lose in each matrix.

``python rayjobs/compress.py mycat.safetensors small.safetensors --size 5``
"""

import sys
from pathlib import Path

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from rayjobs.quiet import silence

silence()

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from cdcore.compression import BYTES_PER_VALUE, Compressed, Rule, RuleName, Scope, compress
from cdcore.errors import ConfigError
from rayjobs.cli import parse, run_command
from rayjobs.outputs import check_file

if TYPE_CHECKING:
    from cdcore.concept import Concept

__all__ = ["CompressJob", "error_table", "main", "run"]

_RULES: tuple[RuleName, ...] = ("rank", "energy", "mass", "size")
_HEADER_BYTES = 200
"""What the header of a safetensors file needs for the two factors of a matrix, at most."""


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
    base: str | None = None
    """Base model; unset, the one that the concept was trained on."""
    overwrite: bool = False
    """Replace an output that exists."""

    def __post_init__(self) -> None:
        """Refuse what no later step would."""
        given = [name for name in _RULES if getattr(self, name) is not None]
        if len(given) != 1:
            flags = " or ".join(f"--{name}" for name in _RULES)
            raise ConfigError(f"give one of {flags}, and only one; {len(given)} were given")
        if self.output.suffix != ".safetensors":
            raise ConfigError(f"--output is {self.output}, expected a name in .safetensors")
        if self.output.resolve() == self.source.resolve():
            raise ConfigError(f"--output is {self.output}, the source itself; give another name")
        check_file(self.output, overwrite=self.overwrite)


def run(job: CompressJob, console: Console) -> None:
    """Compress, save, and show what it cost.

    Raises:
        CustomDiffusionError: A file or a setting cannot be used.
        OSError: The file cannot be written.
    """
    # Model libraries take seconds to import: bad input and --help should not wait for them.
    from cdcore.base import load_base
    from cdcore.concept import load_concept, save_concept

    concept = load_concept(job.source)
    base = load_base(job.base or concept.base_name)
    layout = base.seam.layout
    concept.check_base(base)
    pairs = 1 if job.scope == "stack" else len(layout.names)
    rule = _rule(job, concept, pairs)
    made = compress(concept.update, layout, rule, scope=job.scope)
    described = {"rule": rule.name, "value": rule.value, "scope": job.scope, "error": made.error}
    concept = replace(
        concept.renamed(job.output.stem),
        update=made.update,
        training={**concept.training, "compression": described},
    )
    save_concept(concept, job.output, base)
    console.print(error_table(made))
    before, after = (path.stat().st_size / 1e6 for path in (job.source, job.output))
    console.print(f"error of the whole stack: {made.error:.2%}")
    console.print(f"{before:.2f} MB -> {after:.2f} MB: {job.output}", soft_wrap=True)


def error_table(made: Compressed) -> Table:
    """Return the table of what each matrix kept and lost."""
    table = Table(title="||Delta - Delta_r|| / ||Delta|| of each matrix", title_justify="left")
    table.add_column("matrix", overflow="fold")
    table.add_column("rank", justify="right")
    table.add_column("error", justify="right")
    for line in made.matrices:
        table.add_row(line.name.removesuffix(".weight"), str(line.rank), f"{line.error:.2%}")
    return table


def _rule(job: CompressJob, concept: "Concept", pairs: int) -> Rule:
    if job.size is None:
        name = next(name for name in _RULES if getattr(job, name) is not None)
        return Rule(name=name, value=getattr(job, name))
    from cdcore.concept import load_card

    of_update = sum(part.numel() for part in concept.update.tensors().values()) * BYTES_PER_VALUE
    rest = job.source.stat().st_size - of_update + pairs * _HEADER_BYTES
    if concept.update.weight is not None:
        # What a dense file holds beside its card's features, factors give for nothing.
        values = [rows.values for rows in load_card(job.source).rows.values()]
        rest -= sum(part.numel() for part in values) * BYTES_PER_VALUE
    if job.size * 1e6 <= rest:
        raise ConfigError(
            f"--size is {job.size} MB, but all but the update takes {rest / 1e6:.3g} MB; give more"
        )
    return Rule(name="size", value=job.size * 1e6 - rest)


def main() -> None:
    """Run the command."""
    job = parse(
        CompressJob,
        prog="compress.py",
        description="Compress a concept file: compress.py SOURCE OUTPUT --rank, --energy, --mass "
        "or --size.",
        groups={"compression": (*_RULES, "scope")},
        leading=("source", "output"),
    )
    run(job, Console(highlight=False, markup=False, emoji=False))


if __name__ == "__main__":
    run_command(main)
