"""Checkpoints of a run: which are complete, and the last of them to go on from.

Every worker seals its part with the names and sizes of its files, so a checkpoint that a kill cut
short is known by looking at it. Ray keeps a list of its own, which it rewrites in place and reads
only with its own version; a new driver does without.
"""

import json
import shutil
from pathlib import Path
from typing import Any

__all__ = ["last_checkpoint", "seal", "step_of"]

_SEAL = "part-{}.json"
_PATTERN = "step-*"


def seal(folder: Path, *, step: int, worker: int, workers: int) -> None:
    """Describe a worker's part of a checkpoint; nothing may be written to it after that.

    Args:
        folder: All that this worker has written.
        step: Completed steps.
        worker: In [0, workers).
        workers: How many parts the checkpoint has.
    """
    sizes = {
        str(path.relative_to(folder)): path.stat().st_size
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    part = {"step": step, "workers": workers, "sizes_bytes": sizes}
    (folder / _SEAL.format(worker)).write_text(json.dumps(part), encoding="utf-8")


def step_of(checkpoint: Path) -> int:
    """Return the completed steps of a complete checkpoint."""
    return int(_part(checkpoint, 0)["step"])


def last_checkpoint(folder: Path) -> Path | None:
    """Return the complete checkpoint of the most steps and delete everything else in the folder.

    Args:
        folder: Of all checkpoints of a run that nobody is training; may be missing.

    Raises:
        OSError: Something cannot be deleted.
    """
    complete = [path for path in folder.glob(_PATTERN) if _is_complete(path)]
    last = max(complete, key=step_of, default=None)
    if folder.is_dir():
        for path in folder.iterdir():
            if path.is_dir() and path != last:
                shutil.rmtree(path)
            elif path != last:
                path.unlink()
    return last


def _is_complete(checkpoint: Path) -> bool:
    try:
        workers = int(_part(checkpoint, 0)["workers"])
        parts = [_part(checkpoint, worker) for worker in range(workers)]
        return all(
            (checkpoint / name).stat().st_size == size_bytes
            for part in parts
            for name, size_bytes in part["sizes_bytes"].items()
        )
    except (OSError, KeyError, TypeError, ValueError):
        return False


def _part(checkpoint: Path, worker: int) -> dict[str, Any]:
    path = checkpoint / _SEAL.format(worker)
    return dict(json.loads(path.read_text(encoding="utf-8")))
