"""The live table of a sweep: a thread of the driver that follows the trials' files.

Monitoring hears of what it finds, too.

Where the output is no terminal, there is a line for each trial that begins or ends instead.
"""

from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from rayjobs.runs.follower import Follower
from rayjobs.runs.run_directory import RunDirectory
from tune.plan.folder import SweepFolder, TrialRecord
from tune.plan.goal import Goal
from tune.reporting.telemetry import SweepMetrics
from tune.reporting.trial_table import rich_table, settings_text

__all__ = ["LiveTable"]

_POLL_S = 1.0


class LiveTable:
    """Shows what the trials are doing while the ``with`` block lasts."""

    def __init__(self, folder: SweepFolder, goal: Goal, trials: int, console: Console) -> None:
        """Follow a sweep.

        Args:
            folder: The folder of the sweep.
            goal: Marks trials that miss it.
            trials: How many trials there will be.
            console: Shows the table.
        """
        self._folder, self._goal, self._trials = folder, goal, trials
        self._console = console
        self._metrics = SweepMetrics(folder.path.name, goal, trials)
        self._follower = Follower(self._show, every_s=_POLL_S)
        self._live = Live(
            console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
        )
        self._printed: set[str] = set()

    def __enter__(self) -> "LiveTable":
        self._folder.run.phase_file.unlink(missing_ok=True)
        # What earlier starts have come to is in the table, but no news.
        self._printed |= {line for record in self._folder.records() for line in self._lines(record)}
        if self._console.is_terminal:
            self._live.start()
        self._follower.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._folder.run.phase_file.unlink(missing_ok=True)
        self._follower.stop()
        if self._console.is_terminal:
            self._live.stop()

    def _show(self) -> None:
        records = self._folder.records()
        self._metrics.publish(records)
        if self._console.is_terminal:
            self._show_table(records)
        else:
            self._show_lines(records)

    def _show_table(self, records: list[TrialRecord]) -> None:
        phases = {
            record.number: _phase(record.run) or "starting"
            for record in records
            if record.status == "open"
        }
        ended = sum(record.status != "open" for record in records)
        parts = [rich_table(records, self._goal, phases)] if records else []
        line = _phase(self._folder.run) or f"{ended} of {self._trials} trials have ended"
        self._live.update(Group(*parts, Text(line)), refresh=True)

    def _show_lines(self, records: list[TrialRecord]) -> None:
        phase = _phase(self._folder.run)
        lines = [phase.rpartition(" ")[0]] if phase else []
        lines += [line for record in records for line in self._lines(record)]
        for line in lines:
            if line not in self._printed:
                self._printed.add(line)
                self._console.print(line)

    def _lines(self, record: TrialRecord) -> list[str]:
        """Return the news of a trial: that it has begun, and how it has ended."""
        lines = [f"trial {record.number}: {settings_text(record.settings)}"]
        if record.status == "open":
            return lines
        line = f"trial {record.number} {record.status}"
        if record.status == "stopped":
            line += f" after {record.step} steps"
        if record.scores:
            scores = record.scores
            line += (
                f": image {scores['image_alignment']:.3f}, text {scores['text_alignment']:.3f}, "
                f"drift {scores['prior_drift']:.3f}"
            )
            line += ", out of bounds" if self._goal.violation(scores) else ""
        if record.error:
            line += f": {record.error}"
        return [*lines, line]


def _phase(run: RunDirectory) -> str | None:
    """Return what a run is doing, such as ``training 12/60``."""
    phase = run.read_phase()
    if phase is None:
        return None
    name, done, total = phase["phase"], phase["done"], phase["total"]
    if name == "training":
        steps = run.read_metrics()
        done = steps[-1]["step"] if steps else done
    return f"{name} {done}/{total}"
