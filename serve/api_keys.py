"""API keys: random words of which only the hash is kept, each of one owner.

    python -m serve.api_keys --file keys.json --owner alice --row-steps-per-minute 2000

prints a new key, once, and adds its hash to the file. A key has 256 random bits, so a plain SHA-256
cannot be searched. The file is read again when it changes: a key that is taken out of it is refused
within seconds.
"""

import hashlib
import json
import secrets
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cdcore.command_line.parser import parse, run_command
from cdcore.errors import ConfigError
from cdcore.files import write_text
from serve.catalogue.caller import Caller

__all__ = ["ApiKeys", "hash_of", "main"]

_PREFIX = "cd-"
_LOOK_S = 2.0
OWNER_PATTERN = "^[A-Za-z0-9_.@-]{1,64}$"


class _Key(BaseModel):
    model_config = ConfigDict(extra="forbid")

    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    owner: str = Field(pattern=OWNER_PATTERN)
    admin: bool = False
    row_steps_per_minute: int | None = Field(default=None, ge=1)
    max_concepts: int | None = Field(default=None, ge=0)


class _KeyFile(BaseModel):
    model_config = ConfigDict(extra="forbid")

    keys: list[_Key]


@dataclass(frozen=True, slots=True)
class _Read:
    changed_ns: int
    callers: Mapping[str, Caller]


def hash_of(key: str) -> str:
    """Return what a file keeps of a key, 64 hex digits."""
    return hashlib.sha256(key.encode()).hexdigest()


class ApiKeys:
    """The keys of a file; for several threads."""

    def __init__(self, path: Path) -> None:
        """Read the file.

        Raises:
            ConfigError: It cannot be read, or holds no keys.
        """
        self._path = path
        self._read = self._reading()
        self._looked_at = time.monotonic()
        self._lock = threading.Lock()

    def caller(self, key: str) -> Caller | None:
        """Return whom a key stands for, or None for no key of the file."""
        with self._lock:
            now = time.monotonic()
            if now - self._looked_at > _LOOK_S:
                self._looked_at = now
                self._look()
            return self._read.callers.get(hash_of(key))

    def _look(self) -> None:
        try:
            if self._path.stat().st_mtime_ns != self._read.changed_ns:
                self._read = self._reading()
        except (OSError, ConfigError):
            # Nobody gets in by a broken file: without it there are no keys.
            self._read = _Read(0, {})

    def _reading(self) -> _Read:
        try:
            changed_ns = self._path.stat().st_mtime_ns
            parsed = _KeyFile.model_validate_json(self._path.read_bytes())
        except (OSError, ValidationError) as error:
            raise ConfigError(
                f"{self._path}: not a file of API keys ({_reason(error)}); make one with python -m "
                "serve.api_keys --file keys.json --owner NAME"
            ) from error
        callers = {
            key.sha256: Caller(
                owner=key.owner,
                is_admin=key.admin,
                row_steps_per_minute=key.row_steps_per_minute,
                max_concepts=key.max_concepts,
            )
            for key in parsed.keys
        }
        return _Read(changed_ns, callers)


def add_key(path: Path, **described: object) -> str:
    """Make a key and add its hash to a file, which may be missing.

    Args:
        path: The file.
        described: The fields of the key as the file has them, without the hash.

    Returns:
        The key, which is nowhere else.

    Raises:
        ConfigError: The file holds something else, or a field is impossible.
        OSError: It cannot be written.
    """
    key = _PREFIX + secrets.token_urlsafe(32)
    try:
        text = path.read_bytes() if path.exists() else b'{"keys": []}'
        known = _KeyFile.model_validate_json(text)
        known.keys.append(_Key.model_validate({"sha256": hash_of(key), **described}))
    except ValidationError as error:
        raise ConfigError(f"{path}: {_reason(error)}") from error
    write_text(path, json.dumps(known.model_dump(exclude_defaults=True), indent=1) + "\n")
    path.chmod(0o600)
    return key


def _reason(error: OSError | ValidationError) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"]))
    return f"{place}: {first['msg']}" if place else first["msg"]


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyJob:
    """The key to make."""

    file: Path
    """File of keys, made if missing."""
    owner: str
    """Whose concepts the key gives access to."""
    admin: bool = False
    """Give access to all concepts."""
    row_steps_per_minute: int | None = None
    """Limit on the work of a minute: pictures times steps; unset, no limit."""
    max_concepts: int | None = None
    """Concepts that may be kept; unset, no limit."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Make a key and print it; ``arguments`` are the command's own when None.

    Raises:
        ConfigError: A flag or the file cannot be used.
        OSError: The file cannot be written.
    """
    job = parse(
        KeyJob,
        arguments,
        prog="python -m serve.api_keys",
        description="Make an API key.",
        takes_file=False,
    )
    described = {field.name: getattr(job, field.name) for field in fields(job)}
    key = add_key(described.pop("file"), **described)
    sys.stdout.write(f"{key}\n")


if __name__ == "__main__":
    run_command(main)
