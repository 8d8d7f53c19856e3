"""How soon a command answers: ``python benchmarks/common/start_up.py``.

For every command: the modules that its help imports and the heavy ones among them, and the seconds
of the help, of a refused flag and of three refusals that users meet. Wall seconds are those of this
machine as busy as it is; processor seconds of the same processes stand beside them. ``--checkout``
measures another version of the project by the same commands.
"""

# ruff: noqa: E402 - the checkout comes first on sys.path

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
if not __package__:
    sys.path[0] = str(ROOT)

import os
import resource
import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.table import Table

from benchmarks.common.figures import save_figures
from cdcore.command_line.parser import parse, run_command
from cdcore.errors import ConfigError

__all__ = ["ABSENT", "COMMANDS", "HEAVY", "Answer", "StartUpBenchmark", "imported", "measure"]

HEAVY = frozenset(
    {
        *("torch", "ray", "diffusers", "transformers", "deepspeed", "accelerate", "torchmetrics"),
        *("fastapi", "starlette", "pyarrow", "pandas", "scipy", "matplotlib", "optuna"),
    }
)
"""Packages that take long to import, and that no help needs."""

ABSENT = "/nonexistent/place"
"""A path where nothing lies, on no system."""

_PICTURES = ("--images", "examples/mycat", "--name", "mycat", "--base", "pocket")
_NO_WORD = ("--class-noun", "qzjxwvkyu")
_CONCEPT = "examples/concepts/mycat.safetensors"
_OUTPUT = f"{ABSENT}.safetensors"

COMMANDS: Mapping[tuple[str, ...], Mapping[str, tuple[str, ...]]] = {
    ("rayjobs/train.py",): {
        "no pictures": ("--images", ABSENT, "--class-noun", "cat", "--name", "mycat"),
        "no such word": (*_PICTURES, *_NO_WORD),
        "no such base": (*_PICTURES[:4], "--class-noun", "cat", "--base", ABSENT),
    },
    ("rayjobs/sample.py",): {
        "no concept": ("--prompt", "a cat", "--concepts", ABSENT),
        "no such token": ("--prompt", "a <dog> dog", "--concepts", _CONCEPT, "--base", "pocket"),
        "no such base": ("--prompt", "a cat", "--base", ABSENT),
    },
    ("rayjobs/merge.py",): {
        "no concept": ("--concepts", _CONCEPT, ABSENT, "--output", _OUTPUT),
        "no such tool": ("--concepts", _CONCEPT, "--output", "merged.safetensors", "--export", "x"),
        "no such base": (
            "--concepts",
            _CONCEPT,
            "--output",
            "merged.safetensors",
            "--base",
            ABSENT,
        ),
    },
    ("rayjobs/convert.py",): {
        "no source": (ABSENT, "made.safetensors", "--to", "kohya"),
        "wrong ending": (_CONCEPT, "made.bin", "--to", "kohya"),
        "no low rank": (_CONCEPT, "made.bin", "--to", "adobe", "--rank", "2"),
    },
    ("rayjobs/compress.py",): {
        "no source": (ABSENT, "made.safetensors", "--rank", "2"),
        "no such rank": (_CONCEPT, "made.safetensors", "--rank", "0"),
        "no such base": (_CONCEPT, "made.safetensors", "--rank", "2", "--base", ABSENT),
    },
    ("rayjobs/evaluate.py",): {
        "no data set": ("--dataset", ABSENT),
        "no limit": ("--dataset", ABSENT, "--limit", "0"),
        "no sections": ("--dataset", ABSENT, "--sections"),
    },
    ("rayjobs/pretrain.py",): {
        "no workers": ("--workers", "0"),
        "no time": ("--output", ABSENT, "--seconds", "-1"),
        "missing stage": ("--output", ABSENT, "--stages", "unet"),
    },
    ("rayjobs/pocket_set.py",): {
        "none of a kind": ("--per-kind", "0"),
        "too many": ("--per-kind", "1000"),
        "output is a file": ("--output", "README.md"),
    },
    ("tune/sweep.py",): {
        "no search": (*_PICTURES, "--class-noun", "cat", "--search", "steps"),
        "no such word": (*_PICTURES, *_NO_WORD, "--search", "steps=1,2"),
        "no pictures": (
            "--images",
            ABSENT,
            "--class-noun",
            "cat",
            "--name",
            "x",
            "--search",
            "steps=1,2",
        ),
    },
    ("-m", "serve"): {
        "no slots": ("--slots", "0"),
        "no keys": ("--keys", ABSENT),
        "no such base": ("--base", ABSENT),
    },
    ("-m", "serve.api_keys"): {
        "no owner": ("--file", ABSENT),
        "no such owner": ("--file", ABSENT, "--owner", "../alice"),
        "no keys in it": ("--file", "README.md", "--owner", "alice"),
    },
    ("-m", "cdcore.pocket"): {
        "no time": ("--output", ABSENT, "--seconds", "-1"),
        "few pictures": ("--output", ABSENT, "--pictures", "1"),
        "missing stage": ("--output", ABSENT, "--stages", "unet"),
    },
}
"""Every command as Python starts it, with three lines that it refuses, by what is wrong."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """How soon one line is answered.

    Attributes:
        command: What is started.
        line: What is asked: "help", "refused flag" or what is wrong.
        seconds: The median of the wall seconds.
        processor_seconds: The median of the seconds of all processors, the system's own included.
        modules: How many modules the answer imports.
        heavy: The packages of `HEAVY` among them.
        status: The exit status.
    """

    command: str
    line: str
    seconds: float
    processor_seconds: float
    modules: int
    heavy: tuple[str, ...]
    status: int


@dataclass(frozen=True, kw_only=True, slots=True)
class StartUpBenchmark:
    """What to measure."""

    runs: int = 5
    """Runs of each line, of which the median is taken."""
    commands: tuple[str, ...] = ()
    """Only commands whose name has one of these words; unset, all."""
    checkout: Path = ROOT
    """Folder of the project's version that is measured."""
    json: Path | None = None
    """Write the figures to this file."""

    def __post_init__(self) -> None:
        """Refuse what cannot be measured.

        Raises:
            ConfigError: There are no runs, or no project.
        """
        if self.runs < 1:
            raise ConfigError(f"--runs is {self.runs}, expected 1 or more")
        if not (self.checkout / "rayjobs").is_dir():
            raise ConfigError(f"--checkout is {self.checkout}, expected a folder of the project")


def imported(argv: Sequence[str], checkout: Path = ROOT) -> tuple[set[str], int, str]:
    """Run Python and say what it has imported.

    Args:
        argv: Its arguments.
        checkout: The folder it is run in.

    Returns:
        The modules, the exit status, and the last line that was told.
    """
    done = _run(("-X", "importtime", *argv), checkout)
    lines = done.stderr.splitlines()
    modules = {line.rpartition("|")[2].strip() for line in lines if line.startswith("import time:")}
    told = [line for line in lines if not line.startswith("import time:")]
    return modules, done.returncode, (told or [""])[-1]


def measure(job: StartUpBenchmark) -> list[Answer]:
    """Measure every line of every chosen command."""
    answers = []
    for command, refusals in COMMANDS.items():
        name = " ".join(command)
        if job.commands and not any(word in name for word in job.commands):
            continue
        lines = {"help": ("--help",), "refused flag": ("--no-such-flag", "3"), **refusals}
        for line, argv in lines.items():
            answers.append(_answer(name, line, (*command, *argv), job))
            sys.stderr.write(f"{name} {line}: {answers[-1].seconds:.2f} s\n")
    return answers


def _answer(name: str, line: str, argv: Sequence[str], job: StartUpBenchmark) -> Answer:
    modules, status, _ = imported(argv, job.checkout)
    walls, processors = [], []
    for _ in range(job.runs):
        started, before = time.perf_counter(), _processor_seconds()
        _run(argv, job.checkout)
        walls.append(time.perf_counter() - started)
        processors.append(_processor_seconds() - before)
    return Answer(
        command=name,
        line=line,
        seconds=statistics.median(walls),
        processor_seconds=statistics.median(processors),
        modules=len(modules),
        heavy=tuple(sorted(HEAVY & {module.partition(".")[0] for module in modules})),
        status=status,
    )


def _run(argv: Sequence[str], checkout: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *argv],
        cwd=checkout,
        # The base on the hub is not asked for: what is measured is this machine.
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _table(answers: Sequence[Answer]) -> Table:
    table = Table(title="How soon each command answers", title_justify="left")
    for name in ("command", "line"):
        table.add_column(name, overflow="fold")
    for name in ("s", "processor s", "modules", "status"):
        table.add_column(name, justify="right")
    table.add_column("heavy", overflow="fold")
    for one in answers:
        seconds = f"{one.seconds:.2f}", f"{one.processor_seconds:.2f}"
        counts = str(one.modules), str(one.status)
        table.add_row(one.command, one.line, *seconds, *counts, ", ".join(one.heavy) or "-")
    return table


def main() -> None:
    """Measure, write and show.

    Raises:
        ConfigError: A setting is impossible.
        OSError: A file cannot be written.
    """
    job = parse(
        StartUpBenchmark, prog="start_up.py", description="Measure how soon each command answers."
    )
    answers = measure(job)
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = 150
    console.print(_table(answers))
    figures = [asdict(answer) for answer in answers]
    save_figures(job.json, figures, console)


if __name__ == "__main__":
    run_command(main)
