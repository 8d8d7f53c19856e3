"""The report of a merge, as a user reads it."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from cdcore.errors import one_line
from cdcore.merging.report import MergeReport

__all__ = ["print_report"]


def print_report(console: Console, report: MergeReport, remarks: Sequence[str]) -> None:
    """Print what was kept of each concept and what changed elsewhere.

    Args:
        console: Where to.
        report: Of the merge.
        remarks: Lines for the user.
    """
    table = Table(
        title=f"Merged by {report.method}: error, 0 % is perfect, 100 % as if left out",
        title_justify="left",
    )
    for name in ("concept", "named as"):
        table.add_column(name, overflow="fold")
    # Only a constrained merge is fitted to the target prompts.
    is_exact = report.method == "constrained"
    names = ("target prompts", "held-out prompts", "captions, alone")
    for name in ("weight", *(names if is_exact else names[1:2])):
        table.add_column(name, justify="right")
    for error in report.concepts:
        met = error.constraint if error.exact is None else error.exact
        figures = (met, error.held_out, error.drift_alone)
        table.add_row(
            one_line(error.name),
            ", ".join(error.phrases),
            f"{error.weight:g}",
            *map(_percent, figures if is_exact else figures[1:2]),
        )
    console.print(table)
    facts = [f"held-out captions change by {_percent(report.drift)}"]
    if report.amplification is not None:
        facts.append(f"{report.amplification:.2f} x the concepts alone")
    if report.rank is not None:
        facts.append(f"rank {report.rank}")
    console.print("; ".join(facts))
    if report.caption_condition is not None:
        conditions = f"condition numbers: captions {report.caption_condition:.2g}"
        if report.target_condition is not None:
            conditions += f", targets {report.target_condition:.2g}"
        if report.dropped:
            conditions += f" ({report.dropped} weak directions left out)"
        console.print(conditions)
    for remark in remarks:
        console.print(f"note: {one_line(remark)}", soft_wrap=True)


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.2%}"
