"""Where a job of this process writes: what cannot be, or would be lost, is refused beforehand."""

import os
from pathlib import Path

from cdcore.errors import ConfigError
from cdcore.user_paths import check_length

__all__ = ["check_file", "check_folder", "check_place"]


def check_file(path: Path, *, overwrite: bool) -> None:
    """Refuse a file that could not be written, or that is there.

    Raises:
        ConfigError: Says which.
    """
    check_length(path)
    if path.is_dir():
        raise ConfigError(f"--output: {path} is a folder; choose another name")
    _check_free(path, is_free=not path.exists(), overwrite=overwrite)
    check_place(path.parent)


def check_folder(path: Path, *, overwrite: bool) -> None:
    """Refuse a folder that could not be written, or that holds anything.

    Raises:
        ConfigError: Says which.
    """
    check_place(path)
    _check_free(path, is_free=not path.is_dir() or not any(path.iterdir()), overwrite=overwrite)


def check_place(folder: Path, flag: str = "--output") -> None:
    """Refuse a folder that files cannot go to, without leaving an empty one behind.

    Args:
        folder: It may not be there yet.
        flag: The option that sets it, for an error.

    Raises:
        ConfigError: Names what is in the way.
    """
    check_length(folder)
    absolute = folder.absolute()
    existing = next(path for path in (absolute, *absolute.parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        kind = "not writable" if existing.is_dir() else "not a folder"
        raise ConfigError(f"{flag} {folder}: {existing} is {kind}; choose another folder")


def _check_free(path: Path, *, is_free: bool, overwrite: bool) -> None:
    if not is_free and not overwrite:
        raise ConfigError(f"--output: {path} exists; choose another, or give --overwrite")
