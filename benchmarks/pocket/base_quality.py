"""How good the pocket base is: ``python benchmarks/pocket/base_quality.py --base FOLDER``."""

# ruff: noqa: E402 - the checkout comes first on sys.path

import sys
from pathlib import Path

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from rayjobs.cli.quiet_start import silence

silence()

import json
import time
from dataclasses import dataclass

from huggingface_hub.utils.tqdm import disable_progress_bars
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from cdcore.command_line.parser import parse, run_command
from cdcore.errors import BaseModelError, ConfigError
from cdcore.files import write_text
from cdcore.model.base import Base
from cdcore.model.device import DeviceName, chosen_device
from cdcore.model.loading import load_base
from cdcore.model.location import POCKET_FOLDER
from cdcore.pictures.png import save_picture
from cdcore.pocket.examination.report import FULL, QUICK, Extent, Report, make_report
from cdcore.pocket.examination.showcase import showcase
from cdcore.pocket.networks.judge import Judge
from cdcore.pocket.networks.towers import Towers


@dataclass(frozen=True, kw_only=True, slots=True)
class PocketBenchmark:
    """What to measure, and where to write it."""

    base: str = "pocket"
    """The base: pocket, or the folder of another one."""
    output: Path = Path("runs/pocket-report")
    """Folder for report.md, report.json and pictures.png."""
    json: Path | None = None
    """Write the figures to this file instead of report.json."""
    singles: int = FULL.singles
    """Captions of one thing."""
    pairs: int = FULL.pairs
    """Captions of two things."""
    quick: bool = False
    """Ask 32 and 16 instead: rough figures, in a minute."""
    device: DeviceName = "auto"
    """Where to compute."""

    def __post_init__(self) -> None:
        """Refuse what no base can answer."""
        for name in ("singles", "pairs"):
            if getattr(self, name) < 1:
                raise ConfigError(f"--{name} is {getattr(self, name)}, expected 1 or more")

    @property
    def extent(self) -> Extent:
        """How much to ask."""
        if self.quick:
            return QUICK
        return Extent(singles=self.singles, pairs=self.pairs, retrievals=FULL.retrievals)


def main() -> None:
    """Measure, write and show.

    Raises:
        BaseModelError: The folder holds no pocket base with towers and a judge.
        ConfigError: A setting is impossible.
        OSError: A file cannot be written.
    """
    job = parse(
        PocketBenchmark,
        prog="base_quality.py",
        description="Measure how well a pocket base draws what held-out captions say.",
    )
    # Some parts are read by their own libraries, which draw a bar for each file.
    disable_progress_bars()
    console = Console()
    started = time.monotonic()
    base, towers, judge = _load(job)
    report = _measure(base, towers, judge, job.extent)
    seconds = time.monotonic() - started
    _show(console, report)
    file = job.json or job.output / "report.json"
    figures = {"base": job.base, "seconds": round(seconds, 1), **report.as_json()}
    write_text(file, json.dumps(figures, indent=2) + "\n")
    write_text(job.output / "report.md", report.markdown())
    picture = job.output / "pictures.png"
    save_picture(picture, showcase(base), {"base": base.fingerprint})
    console.print(f"{seconds:.0f} s on {base.device.type}", highlight=False)
    for path in (file, job.output / "report.md", picture):
        console.print(str(path), highlight=False, soft_wrap=True)


def _load(job: PocketBenchmark) -> tuple[Base, Towers, Judge]:
    folder = POCKET_FOLDER if job.base == "pocket" else Path(job.base).expanduser()
    base = load_base(str(folder), device=chosen_device(job.device))
    try:
        towers = Towers.load(folder, base.device)
        judge = Judge.load(folder / "judge").to(base.device)
    except (OSError, ValueError) as error:
        raise BaseModelError(
            f"{folder} has no towers or no judge; expected a base that all four stages of "
            "rayjobs/pretrain.py have made"
        ) from error
    return base, towers, judge


def _measure(base: Base, towers: Towers, judge: Judge, extent: Extent) -> Report:
    columns = (
        TextColumn("sampling"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("steps"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("", total=None)
        return make_report(
            base,
            towers,
            judge,
            extent,
            on_step=lambda done, total: bar.update(task, completed=done, total=total),
        )


def _show(console: Console, report: Report) -> None:
    header, *rows = report.rows()
    table = Table(title="Seen right by the judge", title_justify="left")
    for position, name in enumerate(header):
        table.add_column(name, justify="left" if position == 0 else "right")
    for row in rows:
        table.add_row(*row)
    console.print(table)
    question, aim, ours, judges = report.retrieval_row()
    console.print(
        f"{question}: {ours} by the towers of the base (aim {aim}), {judges} by the judge's",
        highlight=False,
    )


if __name__ == "__main__":
    run_command(main)
