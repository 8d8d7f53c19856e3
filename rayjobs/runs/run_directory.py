"""A run directory: everything a training run leaves behind, under one folder.

``config.yaml`` as resolved, ``metrics.jsonl`` with one line for each completed step,
``scores.jsonl`` with one for each time it was scored on the way, ``run.json`` for programs,
``samples/*.png``, ``curves.png``, ``tensorboard/``, ``checkpoints/`` and
``NAME.safetensors``.
"""

import fcntl
import json
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from cdcore.errors import RunError
from cdcore.files import write_text
from cdcore.training.trainer import StepMetrics
from rayjobs.runs.former_names import by_present_names

__all__ = ["SCHEMA_VERSION", "RunDirectory"]

SCHEMA_VERSION = 1
"""The schema of the stored configuration; newer ones are refused."""


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """The paths of a run, and what is kept at them.

    Attributes:
        path: The absolute folder of the run.
    """

    path: Path

    @property
    def name(self) -> str:
        """The name of the run and of its concept."""
        return self.path.name

    @property
    def config_file(self) -> Path:
        """The resolved configuration."""
        return self.path / "config.yaml"

    @property
    def metrics_file(self) -> Path:
        """One JSON line for each completed step."""
        return self.path / "metrics.jsonl"

    @property
    def scores_file(self) -> Path:
        """One JSON line for each time that the concept was scored during training."""
        return self.path / "scores.jsonl"

    @property
    def summary_file(self) -> Path:
        """What a program reads."""
        return self.path / "run.json"

    @property
    def phase_file(self) -> Path:
        """What the run is doing now."""
        return self.path / "phase.json"

    @property
    def concept_file(self) -> Path:
        """The result."""
        return self.path / f"{self.name}.safetensors"

    @property
    def samples(self) -> Path:
        """Folder of pictures."""
        return self.path / "samples"

    @property
    def checkpoints(self) -> Path:
        """Folder of checkpoints."""
        return self.path / "checkpoints"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from the run; the folder is made, and goes again if it stays empty.

        Raises:
            RunError: Another process has it.
            OSError: The folder cannot be written.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        lock = self.path / ".lock"
        with lock.open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RunError(
                    f"run {self.name!r} is being trained by another process; wait for it, or "
                    "choose another --name"
                ) from None
            except OSError:
                # Some network file systems cannot lock: then it is up to the user.
                pass
            try:
                yield
            finally:
                with suppress(OSError):
                    if list(self.path.iterdir()) == [lock]:
                        lock.unlink()
                        self.path.rmdir()

    def begin(self) -> str:
        """Make a new start of the run the one that writes to it, and sweep up after killed ones.

        Returns:
            The session: the name of this start alone, for `check_claim`.

        Raises:
            OSError: The folder cannot be written.
        """
        session = uuid.uuid4().hex[:12]
        self.claim(session)
        for folder in (self.path, self.samples):
            for path in folder.glob(".*-*"):
                if path.is_file():
                    path.unlink(missing_ok=True)
        return session

    def claim(self, session: str) -> None:
        """Take the run over from whoever writes to it.

        Workers of a killed driver live on for seconds; they find out by `check_claim`. What
        another is writing at this moment stays whole: it may be the note of how a run ended.

        Args:
            session: The name of a start, or what no start is named.

        Raises:
            OSError: The folder cannot be written.
        """
        write_text(self._claim_file, session)

    def check_claim(self, session: str) -> None:
        """Refuse to write for a start of the run that is over.

        Raises:
            RunError: A later start has taken the run over, or it was deleted.
        """
        try:
            is_ours = self._claim_file.read_text(encoding="utf-8") == session
        except FileNotFoundError:
            is_ours = False
        if not is_ours:
            raise RunError(f"run {self.name!r} was started again, or deleted, by another process")

    @property
    def _claim_file(self) -> Path:
        return self.path / ".session"

    def clear(self) -> None:
        """Delete what the run has left; the configuration last: until then it stays a run.

        Raises:
            OSError: Something cannot be deleted.
        """
        for path in sorted(self.path.iterdir(), key=lambda path: path == self.config_file):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.name != ".lock":
                path.unlink()

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Store the resolved configuration.

        Raises:
            OSError: The folder cannot be written.
        """
        versioned = {"schema_version": SCHEMA_VERSION, **config}
        write_text(self.config_file, yaml.safe_dump(versioned, sort_keys=False, allow_unicode=True))

    def read_config(self) -> dict[str, Any] | None:
        """Return the stored configuration by the names of now, or None for a new run.

        Raises:
            RunError: The file is damaged, a newer version wrote it, or the folder holds something else.
        """
        try:
            text = self.config_file.read_text(encoding="utf-8")
        except FileNotFoundError:
            self._check_free()
            return None
        except UnicodeDecodeError:
            text = ""
        try:
            config = dict(yaml.safe_load(text))
            schema = int(config.pop("schema_version"))
        except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
            raise RunError(
                f"{self.config_file}: not the configuration of a run; choose another --name or "
                "--output, or delete that folder yourself"
            ) from error
        if schema > SCHEMA_VERSION:
            raise RunError(
                f"{self.config_file}: run of schema {schema}, this version reads up to "
                f"{SCHEMA_VERSION}; update this software, or choose another --name"
            )
        return by_present_names(config)

    def _check_free(self) -> None:
        """Refuse a folder of something else; what is hidden are our own leftovers."""
        taken = self.path.is_dir() and any(
            not path.name.startswith(".") for path in self.path.iterdir()
        )
        if taken:
            raise RunError(
                f"{self.path}: the folder exists and holds no run; choose another --name or "
                "--output"
            )

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Store what a program reads.

        Raises:
            OSError: The folder cannot be written.
        """
        write_text(self.summary_file, json.dumps(dict(summary), indent=2) + "\n")

    def read_summary(self) -> dict[str, Any]:
        """Return the stored summary; empty when there is none that can be read."""
        try:
            return dict(json.loads(self.summary_file.read_text(encoding="utf-8")))
        except (FileNotFoundError, TypeError, ValueError):
            return {}

    def write_phase(self, phase: str, done: int, total: int) -> None:
        """Tell followers what the run is doing.

        Raises:
            OSError: The folder cannot be written.
        """
        write_text(self.phase_file, json.dumps({"phase": phase, "done": done, "total": total}))

    def read_phase(self) -> dict[str, Any] | None:
        """Return what the run is doing, with its ``phase``, ``done`` and ``total``.

        None where it has not said, or is saying something else at this moment.
        """
        try:
            phase = json.loads(self.phase_file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        is_whole = isinstance(phase, dict) and {"phase", "done", "total"} <= phase.keys()
        return phase if is_whole else None

    @property
    def last_step(self) -> int:
        """The last completed step; 0 before the first."""
        metrics = self.read_metrics()
        return int(metrics[-1]["step"]) if metrics else 0

    def append_metrics(self, metrics: StepMetrics) -> None:
        """Add a completed step.

        Raises:
            OSError: The file cannot be written.
        """
        with self.metrics_file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(metrics)) + "\n")

    def read_metrics(self) -> list[dict[str, Any]]:
        """Return the completed steps in order; what a kill has cut short or mixed is left out."""
        return _read_lines(self.metrics_file)

    def truncate_metrics(self, step: int) -> None:
        """Drop the lines of steps after ``step``, which will be done again.

        Raises:
            OSError: The file cannot be written.
        """
        kept = [line for line in self.read_metrics() if line["step"] <= step]
        write_text(self.metrics_file, "".join(json.dumps(line) + "\n" for line in kept))

    def append_scores(self, step: int, scores: Mapping[str, float]) -> None:
        """Add what the concept scores after ``step`` steps, in one durable step.

        Raises:
            OSError: The file cannot be written.
        """
        lines = [line for line in self.read_scores() if line["step"] < step]
        lines.append({"step": step, **scores})
        write_text(self.scores_file, "".join(json.dumps(line) + "\n" for line in lines))

    def read_scores(self) -> list[dict[str, Any]]:
        """Return the scores by step, in order; each line has its ``step``."""
        return _read_lines(self.scores_file)


def _read_lines(path: Path) -> list[dict[str, Any]]:
    """Read lines of JSON by rising step; what a kill has cut short or mixed is left out."""
    if not path.exists():
        return []
    found: list[dict[str, Any]] = []
    for line in path.read_text(encoding="utf-8").split("\n")[:-1]:
        try:
            row = dict(json.loads(line))
        except (TypeError, ValueError):
            continue
        if not found or row["step"] > found[-1]["step"]:
            found.append(row)
    return found
