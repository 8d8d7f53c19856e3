"""The progress bar of a run: a thread of the driver that follows the run's files.

Workers may be on other machines, and what they print arrives late and twice; their files do not.
"""

import time
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from rayjobs.runs.follower import Follower
from rayjobs.runs.run_directory import RunDirectory

__all__ = ["RunProgress"]

_POLL_S = 0.3
_PLAIN_LINE_S = 10.0
"""Seconds between lines when the output is no terminal."""


class RunProgress:
    """Shows what a run is doing while the ``with`` block lasts."""

    def __init__(self, run: RunDirectory, console: Console) -> None:
        self._run = run
        self._console = console
        self._follower = Follower(self._show, every_s=_POLL_S)
        self._bar = Progress(
            TextColumn("{task.description:<22}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            console=console,
        )
        self._tasks: dict[str, TaskID] = {}
        self._printed_at = 0.0
        self._printed = ""
        self._named = ""

    def __enter__(self) -> "RunProgress":
        self._run.phase_file.unlink(missing_ok=True)
        if self._console.is_terminal:
            self._bar.start()
            self._show_bar("starting", 0, 1, "")
        self._follower.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._follower.stop()
        if self._console.is_terminal:
            self._bar.stop()
        self._run.phase_file.unlink(missing_ok=True)

    def _show(self) -> None:
        phase = self._phase()
        if phase is None:
            return
        name, done, total, figures = phase
        if self._console.is_terminal:
            self._show_bar(name, done, total, figures)
        else:
            self._show_line(name, done, total, figures)

    def _phase(self) -> tuple[str, int, int, str] | None:
        phase = self._run.read_phase()
        if phase is None:
            return None
        name, done, total = phase["phase"], phase["done"], phase["total"]
        if name != "training":
            return name, done, total, phase.get("figures", "")
        metrics = self._run.read_metrics()
        return (name, metrics[-1]["step"], total, _figures(metrics)) if metrics else None

    def _show_bar(self, name: str, done: int, total: int, figures: str) -> None:
        if name not in self._tasks:
            for earlier in self._tasks.values():
                total_before = self._bar.tasks[earlier].total
                self._bar.update(earlier, completed=total_before)
            self._tasks[name] = self._bar.add_task(name, total=total, figures="")
        self._bar.update(self._tasks[name], completed=done, figures=figures)

    def _show_line(self, name: str, done: int, total: int, figures: str) -> None:
        is_late = time.monotonic() - self._printed_at > _PLAIN_LINE_S
        line = f"{name} {done}/{total} {figures}".rstrip()
        # A step may take longer than the time between lines: then there is nothing to tell.
        if line == self._printed or not (name != self._named or done == total or is_late):
            return
        self._console.print(line, highlight=False)
        self._named, self._printed, self._printed_at = name, line, time.monotonic()


def _figures(metrics: list[dict[str, Any]]) -> str:
    recent = metrics[-20:]
    loss = sum(line["loss"] for line in recent) / len(recent)
    seconds = sum(line["seconds"] for line in recent) / len(recent)
    return f"loss {loss:.3f}  {seconds:.2f} s/step"
