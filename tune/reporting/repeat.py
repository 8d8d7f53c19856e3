"""The best of a sweep as a training job of its own: a configuration file and a command."""

import shlex
from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any

import yaml

from cdcore.errors import one_line
from cdcore.files import write_text
from rayjobs.config.training import TrainJob
from rayjobs.runs.result_paths import absolute, base_name
from tune.plan.search_space import SEARCHABLE

__all__ = ["repeat_command", "write_repeat"]

_OF_ONE_RUN = ("output", "registry", "overwrite", "dry_run", "tflops", "gpus")
"""Settings that do not decide what a run results in."""


def write_repeat(path: Path, job: TrainJob, config: Mapping[str, Any]) -> None:
    """Write what ``rayjobs/train.py --config`` needs to train a trial again.

    Args:
        path: The path of the file.
        job: The training job, with the settings that did not vary.
        config: The run's own configuration, as `RunDirectory.read_config` gives it; what varied is
            taken from it, and what the base had decided.

    Raises:
        OSError: The file cannot be written.
    """
    settings: dict[str, Any] = {}
    for field in fields(TrainJob):
        value = config[field.name] if field.name in SEARCHABLE else getattr(job, field.name)
        if field.name not in _OF_ONE_RUN and value is not None and value != ():
            settings[field.name] = _plain(value)
    settings["base"] = base_name(job.base)
    text = yaml.safe_dump(settings, sort_keys=False, allow_unicode=True)
    write_text(path, f"# {repeat_command(path)}\n{text}")


def repeat_command(path: Path) -> str:
    """Return the command that trains what is written at ``path``."""
    return f"python rayjobs/train.py --config {_quoted(str(path))}"


def _quoted(word: str) -> str:
    """Quote a word for a shell, on one line."""
    if word.isprintable():
        return shlex.quote(word)
    escaped = word.replace("\\", "\\\\").replace("'", "\\'")
    return f"$'{one_line(escaped)}'"


def _plain(value: Any) -> Any:
    """Return a value as YAML holds it; paths are absolute, so that the file may lie anywhere."""
    if isinstance(value, Path):
        return str(absolute(value))
    if is_dataclass(value) and not isinstance(value, type):
        return {key: _plain(part) for key, part in asdict(value).items() if part is not None}
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    return value
