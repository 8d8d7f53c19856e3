"""Checkpoints of a run: written together by all workers, seen whole or not at all.

    .writing-SESSION-000030/    workers write their parts here; then the first one writes seal.json
    step-000030/                the same folder, renamed

A kill leaves a folder that is still being written, or a whole one. The seal names every file and
its size, so a folder that was copied or restored in part is known as well; and the run it belongs
to, so one that workers of a deleted run have finished late is never taken for this run's.
"""

import json
import shutil
from pathlib import Path
from typing import Any

from cdcore.files import write_text

__all__ = ["finish_checkpoint", "last_checkpoint", "step_of", "writing_folder"]

_SEAL = "seal.json"
_FINISHED = "step-{:06d}"
_KEPT = 2


def writing_folder(folder: Path, *, session: str, step: int) -> Path:
    """Return where the workers of a session write the checkpoint of a step.

    Args:
        folder: The folder of all checkpoints of a run.
        session: The name of these workers alone, so that others who have not noticed their end yet
            write elsewhere.
        step: Completed steps.
    """
    return folder / f".writing-{session}-{step:06d}"


def finish_checkpoint(writing: Path, *, step: int, identity: str) -> Path:
    """Seal and rename what all workers have written, and delete all but the last two.

    Args:
        writing: Folder that nobody writes to any more.
        step: Completed steps.
        identity: The digest of the run; only its sessions go on from here.

    Returns:
        The finished checkpoint.

    Raises:
        OSError: The checkpoint cannot be written; no checkpoint of this step is seen.
    """
    sizes = {
        str(path.relative_to(writing)): path.stat().st_size
        for path in sorted(writing.rglob("*"))
        if path.is_file()
    }
    seal = {"step": step, "identity": identity, "sizes_bytes": sizes}
    write_text(writing / _SEAL, json.dumps(seal))
    finished = writing.with_name(_FINISHED.format(step))
    # Workers that were thought dead may have finished the same step.
    shutil.rmtree(finished, ignore_errors=True)
    writing.rename(finished)
    for path in sorted(writing.parent.glob("step-*"))[:-_KEPT]:
        shutil.rmtree(path, ignore_errors=True)
    return finished


def step_of(checkpoint: Path) -> int:
    """Return the completed steps of a whole checkpoint."""
    return int(_seal(checkpoint)["step"])


def last_checkpoint(folder: Path, identity: str) -> Path | None:
    """Return the whole checkpoint of the most steps and delete everything else in the folder.

    Args:
        folder: The folder of all checkpoints of a run that nobody trains; it may be missing.
        identity: The digest of the run.

    Raises:
        OSError: Something cannot be deleted.
    """
    whole = [path for path in folder.glob("step-*") if _is_whole(path, identity)]
    last = max(whole, key=step_of, default=None)
    if folder.is_dir():
        for path in folder.iterdir():
            if path.is_dir() and path != last:
                shutil.rmtree(path)
            elif path != last:
                path.unlink()
    return last


def _is_whole(checkpoint: Path, identity: str) -> bool:
    try:
        seal = _seal(checkpoint)
        return (
            seal["identity"] == identity
            and int(seal["step"]) >= 0
            and all(
                (checkpoint / name).stat().st_size == size_bytes
                for name, size_bytes in seal["sizes_bytes"].items()
            )
        )
    except (AttributeError, OSError, KeyError, TypeError, ValueError):
        return False


def _seal(checkpoint: Path) -> dict[str, Any]:
    return dict(json.loads((checkpoint / _SEAL).read_text(encoding="utf-8")))
