"""Where a job's results lie: what a relative path means, in a shell and in a submitted job.

``ray job submit --working-dir`` runs the driver in a temporary copy of the user's folder, whose
name changes with every edit and which Ray deletes. Results never go there: a relative path is
relative to a configured root, or refused.
"""

import os
from pathlib import Path

from cdcore.errors import ConfigError
from cdcore.user_paths import check_length, expanded
from rayjobs.runs.working_copy import is_in_a_copy

__all__ = [
    "ROOT_VARIABLE",
    "absolute",
    "base_name",
    "registry_location",
    "result_folder",
]

ROOT_VARIABLE = "CUSTOMDIFFUSION_ROOT"
"""Environment variable: the folder that relative result paths begin at."""


def absolute(path: Path) -> Path:
    """Return a path that the user gives as an absolute one.

    Raises:
        ConfigError: The path begins with the home of a user who has none.
    """
    return Path(expanded(str(path))).resolve()


def base_name(base: str) -> str:
    """Return a base's name; a folder's or file's as an absolute path, the same to workers elsewhere.

    Raises:
        ConfigError: `absolute` refuses the folder.
    """
    # It takes seconds to import, and other callers need no base.
    from cdcore.model.location import ALIASES

    if base == "pocket" or base in ALIASES or not absolute(Path(base)).exists():
        return base
    return str(absolute(Path(base)))


def result_folder(path: Path, flag: str) -> Path:
    """Return the absolute folder that results are written to.

    Args:
        path: As the user gave it.
        flag: The option that sets it, for an error.

    Raises:
        ConfigError: The folder would lie in a temporary folder, cannot be made absolute, or has a
            name that no disk holds or that Ray and pyarrow cannot be told.
    """
    root = os.environ.get(ROOT_VARIABLE)
    if root and not Path(expanded(str(path))).is_absolute():
        if not Path(expanded(root)).is_absolute():
            raise ConfigError(f"{ROOT_VARIABLE} is {root!r}, expected an absolute path")
        path = Path(expanded(root)) / path
    found = absolute(path)
    check_length(found)
    _check_text(found, flag)
    _check_text(Path.cwd(), "the working directory")
    if is_in_a_copy() and found.is_relative_to(Path.cwd().resolve()):
        raise ConfigError(
            f"{flag} is {str(path)!r}, which lies in the job's temporary copy of its working "
            f"directory and would be lost; give an absolute path as {flag}, or submit with "
            f"""--runtime-env-json '{{"env_vars": {{"{ROOT_VARIABLE}": "/an/absolute/path"}}}}'"""
        )
    return found


def registry_location(location: str) -> str:
    """Return a registry's location with a folder made absolute; a URI stays as it is.

    Raises:
        ConfigError: `result_folder` refuses the folder.
    """
    return location if "://" in location else str(result_folder(Path(location), "--registry"))


def _check_text(folder: Path, what: str) -> None:
    try:
        str(folder).encode()
    except UnicodeEncodeError as error:
        raise ConfigError(
            f"{what} is {folder}, a name that is not UTF-8, which Ray cannot be told; rename it, or "
            "take another folder"
        ) from error
