"""A sweep's folder: its identity, its trials, and what became of each.

    config.yaml               what the sweep is; run.json, what it has come to
    base.safetensors          the base's own pictures, which all trials share
    trials/NNN/trial.json     the settings of a trial, and how it has ended
    trials/NNN/NAME/          its run directory, as of any training job
    trials.parquet, report.md, trials.png, best.png, best.yaml

All that a sweep knows is in these files. Ray's own notes are thrown away: a sweep that goes on asks
for the same trials again, and a trial that has ended tells what it told before.
"""

import itertools
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cdcore.errors import RunError
from cdcore.files import write_text
from rayjobs.runs.former_names import by_present_names
from rayjobs.runs.run_directory import RunDirectory

__all__ = ["Status", "SweepFolder", "TrialFolder", "TrialRecord"]

Status = Literal["open", "finished", "stopped", "failed"]
"""``stopped`` is early, by the sweep; ``open`` is waiting, training, or was when the sweep died."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialRecord:
    """What is known of a trial.

    Attributes:
        number: The trial's number from 0, in the order of starting.
        settings: What makes it differ from the others.
        status: How it has ended, or that it has not.
        step: Steps after which it was last scored; 0 for none.
        scores: The last ones; empty for none. Those of a finished trial are on all prompts.
        history: All scores, each with its ``step``.
        seconds: The time from its start to its end, interruptions included; None while it is open.
        error: Why it has failed.
        run: Its run directory.
    """

    number: int
    settings: Mapping[str, Any]
    status: Status
    step: int
    scores: Mapping[str, float]
    history: tuple[Mapping[str, Any], ...]
    seconds: float | None
    error: str
    run: RunDirectory


@dataclass(frozen=True, slots=True)
class TrialFolder:
    """One trial on disk.

    Attributes:
        path: The absolute folder; its name is the trial's number.
        name: The name of the concept.
    """

    path: Path
    name: str

    @property
    def number(self) -> int:
        """The number of the trial."""
        return int(self.path.name)

    @property
    def run(self) -> RunDirectory:
        """Its run directory."""
        return RunDirectory(self.path / self.name)

    def begin(self, settings: Mapping[str, Any]) -> None:
        """Note the settings of a trial; one that has begun before goes on, a failed one as well.

        Raises:
            RunError: The trial has begun with other settings.
            OSError: The folder cannot be written.
        """
        before = self._read()
        if before and before["settings"] != dict(settings):
            raise RunError(
                f"trial {self.number} was begun with {before['settings']}, now {dict(settings)}: "
                "the sweep is another; choose another --output, or --overwrite it"
            )
        if before.get("status") == "failed" or not before:
            started = before.get("started_s", time.time())
            self._write({"settings": dict(settings), "started_s": started})

    def end(self, status: Status, error: str = "") -> None:
        """Note how a trial has ended; the first word stands, and its run's own before any.

        Args:
            status: What has become of it, as far as the caller knows.
            error: Why it has failed.

        Raises:
            OSError: The folder cannot be written.
        """
        noted = self._read()
        if not noted or "status" in noted:
            return
        ended_s = self._run_ended_s()
        if ended_s is not None:
            noted |= {"status": "finished", "ended_s": ended_s}
        else:
            noted |= {"status": status, "ended_s": time.time()}
            noted |= {"error": error} if error else {}
        self._write(noted)

    def record(self) -> TrialRecord | None:
        """Return what is known, or None for a trial that has not begun."""
        noted = self._read()
        if not noted:
            return None
        status: Status = noted.get("status", "open")
        ended_s, error = noted.get("ended_s"), noted.get("error", "")
        # The run knows first: whoever notes the end may be gone by then.
        run_ended_s = self._run_ended_s()
        if run_ended_s is not None:
            status, ended_s, error = "finished", run_ended_s, ""
        history = self.run.read_scores()
        last = dict(history[-1]) if history else {}
        return TrialRecord(
            number=self.number,
            settings=noted["settings"],
            status=status,
            step=last.pop("step", 0),
            scores=last,
            history=tuple(history),
            seconds=None if ended_s is None else max(0.0, ended_s - noted["started_s"]),
            error=error,
            run=self.run,
        )

    @property
    def _file(self) -> Path:
        return self.path / "trial.json"

    def _run_ended_s(self) -> float | None:
        """Return when the run has finished, in seconds since the epoch; None where it has not."""
        summary = self.run.read_summary()
        if summary.get("status") != "finished":
            return None
        # Runs of earlier versions do not say it; their summary was the last that they wrote.
        return float(summary.get("ended_s") or self.run.summary_file.stat().st_mtime)

    def _read(self) -> dict[str, Any]:
        try:
            noted = dict(json.loads(self._file.read_text(encoding="utf-8")))
        except (FileNotFoundError, TypeError, ValueError):
            return {}
        if isinstance(noted.get("settings"), dict):
            noted["settings"] = by_present_names(noted["settings"])
        return noted

    def _write(self, noted: Mapping[str, Any]) -> None:
        write_text(self._file, json.dumps(dict(noted), indent=2) + "\n")


@dataclass(frozen=True, slots=True)
class SweepFolder:
    """A sweep on disk.

    Attributes:
        path: The absolute folder of the sweep.
        name: The name of the concept.
    """

    path: Path
    name: str

    @property
    def run(self) -> RunDirectory:
        """The folder as a run directory: its lock, its identity and its summary."""
        return RunDirectory(self.path)

    @property
    def base_pictures(self) -> Path:
        """File of `cdcore.scoring.base_pictures`."""
        return self.path / "base.safetensors"

    @property
    def notes(self) -> Path:
        """What Ray notes for itself while the sweep lasts."""
        return self.path / ".ray"

    def trial(self, number: int) -> TrialFolder:
        """Return the folder of a trial, which may not have begun."""
        return TrialFolder(self.path / "trials" / f"{number:03d}", self.name)

    def assign(
        self, trial_id: str, settings: Mapping[str, Any], known: Mapping[int, Mapping[str, Any]]
    ) -> TrialFolder:
        """Return the folder for a trial that starts now, which no other trial of this start gets.

        A sweep that goes on may ask for its trials under other numbers: a kill leaves a gap where a
        trial was to begin while later ones had begun.

        Args:
            trial_id: The id by which Ray Tune knows the trial in this start.
            settings: The settings of the trial.
            known: Settings of the trials that had begun before this start, by number.

        Raises:
            OSError: The folder cannot be written.
        """
        asking = _number_asked_for(trial_id)
        same = [number for number, before in known.items() if before == settings]
        same.sort(key=lambda number: number != asking)
        fresh = (number for number in itertools.count(asking) if number not in known)
        number = next(filter(self._take, itertools.chain(same, fresh)))
        write_text(self._assignment(trial_id), str(number))
        return self.trial(number)

    def assigned(self, trial_id: str) -> TrialFolder | None:
        """Return what `assign` has returned in this start, or None before it has."""
        try:
            return self.trial(int(self._assignment(trial_id).read_text()))
        except (FileNotFoundError, ValueError):
            return None

    def _assignment(self, trial_id: str) -> Path:
        return self.notes / f"assigned-{trial_id}"

    def _take(self, number: int) -> bool:
        """Make the mark of a number, unless there is one: of two that try, one succeeds."""
        self.notes.mkdir(parents=True, exist_ok=True)
        try:
            (self.notes / f"taken-{number}").mkdir()
        except FileExistsError:
            return False
        return True

    def records(self) -> list[TrialRecord]:
        """Return what is known of all trials that have begun, by number."""
        numbers = [
            int(path.name) for path in (self.path / "trials").glob("*") if path.name.isdigit()
        ]
        found = [self.trial(number).record() for number in sorted(numbers)]
        return [record for record in found if record is not None]


def _number_asked_for(trial_id: str) -> int:
    """Return the number at the end of an id; 0 where a searcher such as Optuna gives it none."""
    number = trial_id.rpartition("_")[2]
    return int(number) if number != trial_id and number.isdigit() else 0
