"""The figures of ``benchmarks/serving/compare.py``: a table, the aims beside them, a picture."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from cdcore.files import replacing

__all__ = ["plot", "show"]

_NAMES = {
    "engine": ("this engine", "#0b6e99"),
    "swap": ("weights swapped per request", "#d9730d"),
    "group": ("grouped by concept", "#6b7280"),
}


def show(figures: Mapping[str, Any], console: Console) -> None:
    """Print what has been measured.

    Args:
        figures: As ``benchmarks.serving.compare.measure`` returns them.
        console: Shows the table.
    """
    if figures["quick"]:
        console.print("--quick: these figures only show that everything runs")
    table = Table(
        title="Pictures per second; seconds from arrival to picture", title_justify="left"
    )
    for name in ("live concepts", "system", "pictures/s", "p50", "p95", "p99"):
        table.add_column(name, justify="left" if name == "system" else "right")
    rates = {(row["live"], row["system"]): row for row in figures["throughput"]}
    for row in figures["latency"]:
        rate = rates[row["live"], row["system"]]["pictures_per_second"]
        table.add_row(
            str(row["live"]),
            _NAMES[row["system"]][0],
            f"{rate:.2f}",
            *(f"{row[key]:.2f}" for key in ("p50", "p95", "p99")),
        )
    console.print(table)
    for line in _aims(figures):
        console.print(line, soft_wrap=True)
    machine = figures["machine"]
    where = machine.get("card", f"{machine['processor']}, {machine['threads']} threads")
    console.print(
        f"base {figures['base']}, {figures['slots']} rows, {figures['rate']:.2f} orders per second "
        f"({figures['load']:.0%} of what swapping can do), {where}, {machine['date']}",
        soft_wrap=True,
    )


def plot(figures: Mapping[str, Any], path: Path) -> None:
    """Draw the 95th percentile of the latency against the number of live concepts.

    Raises:
        OSError: The file cannot be written.
    """
    figure = Figure(figsize=(7, 4.2), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    live = sorted({row["live"] for row in figures["latency"]})
    for system, (name, colour) in _NAMES.items():
        rows = [row for row in figures["latency"] if row["system"] == system]
        axes.plot(live, [row["p95"] for row in rows], "o-", color=colour, label=f"{name}, p95")
        axes.plot(live, [row["p50"] for row in rows], ":", color=colour, label="p50")
    axes.set_xscale("log")
    axes.set_xticks(live, [f"{count:,}" for count in live])
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.set_xlabel("live concepts")
    axes.set_ylabel("seconds from arrival to picture")
    axes.legend(ncols=3, frameon=False, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")


def _aims(figures: Mapping[str, Any]) -> list[str]:
    ours = [row for row in figures["throughput"] if row["system"] == "engine"]
    rates = [row["pictures_per_second"] for row in ours]
    live = sorted({row["live"] for row in figures["latency"]})
    shares = {
        name: [_p95(figures, count, "engine") / _p95(figures, count, name) for count in live]
        for name in ("swap", "group")
    }
    waited = max(row.get("most_turns_waited", 0) for row in figures["latency"])
    return [
        f"throughput of the engine, least over most: {min(rates) / max(rates):.3f} (aim 0.95)",
        f"mixed batch beside one of the same concept: "
        f"{figures['batch']['mixed_speed_share']:.3f} (aim 0.97)",
        *(
            f"p95 beside {doing}: {shares[name][-1]:.2f} with {live[-1]} live concepts, "
            f"{max(shares[name]):.2f} at worst (aim 0.5)"
            for name, doing in (("swap", "swapping"), ("group", "grouping"))
        ),
        f"turns waited with a row free, at most: {waited} (aim 2)",
        f"a cold merge of two adds {1000 * figures['merge']['added_s']:.1f} ms, of which the merge "
        f"takes {1000 * figures['merge']['merge_s']:.1f} ms (aim 20 ms)",
    ]


def _p95(figures: Mapping[str, Any], live: int, system: str) -> float:
    return next(
        float(row["p95"])
        for row in figures["latency"]
        if row["live"] == live and row["system"] == system
    )
