"""What a submitted job lacks: ``ray job submit`` copies a folder without what its ignore files name.

The driver runs in that copy, or on a node that never saw the submitter's disk, so a path that is
right in the submitter's shell may be missing there. Where a job runs in a clone instead, git itself is
asked what it ignores: ``.git/info/exclude`` and the user's own file are no business of Ray's.
"""

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pathspec import GitIgnoreSpec

from cdcore.errors import CustomDiffusionError
from cdcore.pictures.file_kinds import PICTURE_SUFFIXES
from raycluster.address import JOB_VARIABLE, is_submitted_job

__all__ = ["explained", "is_in_a_copy"]

_IGNORE_FILES = (".gitignore", ".rayignore")
_EXAMPLES = (
    *("", "/", "/1.txt"),
    *(f"/1{one}" for suffix in sorted(PICTURE_SUFFIXES) for one in (suffix, suffix.upper())),
)
"""What may follow a path: a pattern may name a folder alone, or only the pictures in it."""

_GIT_S = 5.0


def is_in_a_copy() -> bool:
    """Whether the working directory is Ray's copy of the submitter's."""
    try:
        job = json.loads(os.environ.get(JOB_VARIABLE, "{}"))
        return bool(job["runtime_env"]["working_dir"])
    except (KeyError, TypeError, ValueError):
        return False


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Add to what is raised inside why a submitted job may lack a path that its user has.

    Args:
        path: What the block reads, as the user gave it.

    Raises:
        CustomDiffusionError: What the block has raised, of the same type.
    """
    try:
        yield
    except CustomDiffusionError as error:
        reason = _reason(path) if is_submitted_job() else ""
        if not reason:
            raise
        raise type(error)(f"{error}; {reason}") from error


def _reason(path: Path) -> str:
    if path.is_absolute():
        if path.exists():
            return ""
        return f"the job runs on {socket.gethostname()}, which has no {path}"
    if not is_in_a_copy():
        if path.exists():
            return ""
        where = f"the job runs in {Path.cwd()} on {socket.gethostname()}"
        rule = _git_rule(path)
        return f"{where}, and {rule}" if rule else where
    rule = _rule(Path.cwd(), Path(os.path.normpath(path)))
    if rule:
        return (
            f"ray job submit leaves out what ignore files name, and {rule}; take the line out, "
            "submit with RAY_RUNTIME_ENV_IGNORE_GITIGNORE=1 where it is .gitignore's, or give an "
            "absolute path that every node has"
        )
    if path.exists():
        return ""
    rule = _git_rule(path)
    if rule:
        return f"the job runs in a copy of its working directory, and {rule}"
    return (
        f"the job runs in a copy of its working directory, which has no {path}; put it there, or "
        "give an absolute path that every node has"
    )


def _git_rule(path: Path) -> str:
    """Say which line of which file of git's keeps a path out of clones; nothing without git."""
    git = shutil.which("git")
    if git is None:
        return ""
    asked = "\0".join(f"{os.path.normpath(path)}{example}" for example in _EXAMPLES if example)
    try:
        done = subprocess.run(
            [git, "check-ignore", "--no-index", "--verbose", "-z", "--stdin"],
            input=os.fsencode(asked),
            capture_output=True,
            timeout=_GIT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    # Four fields for each: file, number of the line, line, path.
    fields = [os.fsdecode(field) for field in done.stdout.split(b"\0")]
    for source, line in zip(fields[::4], fields[2::4], strict=False):
        if not line.startswith("!"):
            return (
                f"a clone has nothing of {path}, which git ignores by {line!r} in {source}; put it "
                "there, or give an absolute path that every node has"
            )
    return ""


def _rule(root: Path, path: Path) -> str:
    """Return which line of which ignore file names a relative path, or nothing."""
    if path.parts[:1] == (os.pardir,):
        return ""
    for folder in (Path(), *reversed(path.parents[:-1])):
        for name in _IGNORE_FILES:
            file = root / folder / name
            try:
                text = file.read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue
            rest = path.relative_to(folder).as_posix()
            line = _naming_line(text, rest)
            if line:
                return f"{folder / name} names {rest} by {line!r}"
    return ""


def _naming_line(text: str, path: str) -> str:
    # As pathspec counts them.
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    try:
        spec = GitIgnoreSpec.from_lines(lines)
    except ValueError:
        return ""
    for example in _EXAMPLES:
        found = spec.check_file(f"{path}{example}")
        if found.include and found.index is not None:
            return lines[found.index].strip()
    return ""
