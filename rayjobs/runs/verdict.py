"""The verdict on a run that is scored on the way: whether it may go on after a score.

A search that compares runs takes a moment to decide. A run that trained on meanwhile could be done
before it hears that it has fallen behind, all the sooner the slower the machine. So its first
worker waits: the search writes how far it has let the run go, or takes the run over to end it.
"""

import time
from pathlib import Path

from cdcore.files import write_text
from rayjobs.runs.run_directory import RunDirectory

__all__ = ["allow", "await_verdict"]

_FILE = ".allowed"
_POLL_S = 0.05


def allow(run: RunDirectory, step: int) -> None:
    """Let a run go on after its score of a step.

    Args:
        run: The run.
        step: Completed steps at the score.

    Raises:
        OSError: The folder cannot be written.
    """
    write_text(_file(run), str(step))


def await_verdict(run: RunDirectory, step: int, *, session: str, patience_s: float) -> None:
    """Return when a run may go on after its score of a step.

    Args:
        run: The run.
        step: Completed steps at the score.
        session: This start of the run.
        patience_s: Seconds after which a run goes on that nobody decides about.

    Raises:
        RunError: The search has ended the run, or a later start has taken it over.
    """
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        run.check_claim(session)
        if _allowed(run) >= step:
            return
        time.sleep(_POLL_S)


def _file(run: RunDirectory) -> Path:
    return run.path / _FILE


def _allowed(run: RunDirectory) -> int:
    try:
        return int(_file(run).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return 0
