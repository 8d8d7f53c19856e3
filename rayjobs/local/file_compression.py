"""Compression in this process: a smaller concept file, and a table of what it loses."""

from dataclasses import replace
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from cdcore.concepts.rank_rule import Rule
from cdcore.errors import ConfigError, one_line
from rayjobs.config.file_compression import RULES, CompressJob
from rayjobs.refusals.concepts import headers_of, shaped_base

if TYPE_CHECKING:
    from cdcore.concepts.concept import Concept
    from cdcore.concepts.low_rank import Compressed

__all__ = ["error_table", "run"]

_HEADER_BYTES = 200
"""What the header of a safetensors file needs for the two factors of a matrix, at most."""


def run(job: CompressJob, console: Console) -> None:
    """Compress, save, and show what it cost.

    Raises:
        CustomDiffusionError: A file or a setting cannot be used.
        OSError: The file cannot be written.
    """
    (header,) = headers_of([job.source])
    shaped_base(job.base or header.base_name, [header])
    # Model libraries take seconds to import: what needs none should not wait for them.
    from cdcore.concepts.low_rank import compress
    from cdcore.concepts.storage import load_concept, save_concept
    from cdcore.model.loading import load_base

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
    console.print(f"{before:.2f} MB -> {after:.2f} MB: {one_line(job.output)}", soft_wrap=True)


def error_table(made: "Compressed") -> Table:
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
        name = next(name for name in RULES if getattr(job, name) is not None)
        return Rule(name=name, value=getattr(job, name))
    from cdcore.concepts.low_rank import BYTES_PER_VALUE
    from cdcore.concepts.storage import load_merge_inputs
    from cdcore.model.update import DenseUpdate

    of_update = sum(part.numel() for part in concept.update.tensors().values()) * BYTES_PER_VALUE
    rest = job.source.stat().st_size - of_update + pairs * _HEADER_BYTES
    if isinstance(concept.update, DenseUpdate):
        # What a dense file holds beside its merge inputs' features, factors give for nothing.
        values = [rows.values for rows in load_merge_inputs(job.source).rows.values()]
        rest -= sum(part.numel() for part in values) * BYTES_PER_VALUE
    if job.size * 1e6 <= rest:
        raise ConfigError(
            f"--size is {job.size} MB, but all but the update takes {rest / 1e6:.3g} MB; give more"
        )
    return Rule(name="size", value=job.size * 1e6 - rest)
