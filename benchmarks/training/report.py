"""The figures of ``benchmarks/training/compare.py`` as tables, with the aims beside them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.console import Console, Group
from rich.table import Table

__all__ = ["show"]

_MEGA, _TERA = 1e6, 1e12


def show(figures: Mapping[str, Any], console: Console) -> None:
    """Print what has been measured.

    Args:
        figures: As ``benchmarks.training.compare.measure`` returns them.
        console: Shows the tables.
    """
    if figures["quick"]:
        console.print("--quick: these figures only show that everything runs")
    for part, print_part in _PARTS.items():
        if part in figures:
            console.print(print_part(figures[part]))
    machine = figures["machine"]
    where = machine.get("card", f"{machine['processor']}, {machine['threads']} threads")
    console.print(f"base {figures['base']}, {where}, {machine['date']}", soft_wrap=True)


def _flops(counted: Mapping[str, Any]) -> Group:
    rows = [
        (
            shape,
            f"{one['ours']['flops'] / _TERA:.1f}",
            f"{one['stock']['flops'] / _TERA:.1f}",
            f"{one['ratio']:.3f}",
            f"{one['ours']['reduced_bytes'] / _MEGA:.1f}",
            f"{one['stock']['reduced_bytes'] / _MEGA:.1f}",
        )
        for shape, one in counted.items()
    ]
    names = ("shape", "TFLOP", "stock", "ratio", "MB reduced", "stock")
    return _table("Cost of a step, counted (aims at sd1: ratio 0.62, 80 MB)", names, rows)


def _pace(paces: Mapping[str, Any]) -> Group:
    rows = [
        (
            name,
            f"{pace['steps_per_second']:.3g}",
            f"{pace['ratio_to_stock']:.2f}",
            f"{pace['first_step']:.2f}",
        )
        for name, pace in paces.items()
    ]
    names = ("recipe", "steps per second", "ratio", "first step, s")
    return _table("Pace, median of blocks in turn (aim on the pocket: 1.1)", names, rows)


def _memory(peaks: Mapping[str, Mapping[str, int]]) -> Group:
    rows = [
        (name, f"{peak['peak'] / _MEGA:.0f}", f"{(peak['peak'] - peak['before']) / _MEGA:.0f}")
        for name, peak in peaks.items()
    ]
    names = ("recipe", "peak, MB", "above that before, MB")
    return _table("Memory held while training", names, rows)


def _race(race: Mapping[str, Any]) -> Group:
    rows = []
    for heat in race["heats"]:
        stock, finish = heat["stock"], heat["finish"]
        rows.append(
            (
                str(heat["seed"]),
                f"{stock['seconds']:.1f}",
                "never" if finish is None else f"{finish['seconds']:.1f}",
                f"{heat['preparation']:.1f}",
                _alignments(stock),
                "" if finish is None else _alignments(finish),
            )
        )
    share = race["share_of_stock_seconds"]
    title = (
        "Race to the stock recipe's final image alignment (aim: a third of its seconds); share: "
        f"{_share(share['training'])}, with preparation "
        f"{_share(share['training and preparation'])}"
    )
    names = ("seed", "stock, s", "ours, s", "preparation, s", "stock image / text / drift", "ours")
    return _table(title, names, rows)


def _peer_script(figures: Mapping[str, float]) -> Group:
    rows = [("diffusers' script", f"{1 / figures['seconds_per_step']:.3g}")]
    return _table("The peer's own script", ("recipe", "steps per second"), rows)


def _alignments(point: Mapping[str, float]) -> str:
    names = ("image_alignment", "text_alignment", "prior_drift")
    return " / ".join(f"{point[name]:.3f}" for name in names)


def _share(value: float | None) -> str:
    return "never reached" if value is None else f"{value:.2f}"


def _table(title: str, names: Sequence[str], rows: Sequence[Sequence[str]]) -> Group:
    table = Table()
    for position, name in enumerate(names):
        table.add_column(name, justify="left" if position == 0 else "right")
    for row in rows:
        table.add_row(*row)
    # As a title it would be broken to the width of the table.
    return Group(title, table)


_PARTS: dict[str, Callable[[Any], Group]] = {
    "flops": _flops,
    "pace": _pace,
    "memory": _memory,
    "race": _race,
    "peer_script": _peer_script,
}
