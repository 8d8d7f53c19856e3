"""What a registry calls things: names, versions, the keys of objects, and the pointer of a name.

A version is a number and 64 bits of its file's SHA-256, such as ``3-0123456789abcdef``.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cdcore.errors import RegistryError

__all__ = [
    "POINTERS",
    "SCHEMA_VERSION",
    "RegistryEntry",
    "check_name",
    "concept_folder",
    "digest_of",
    "history_back_to",
    "metadata_of",
    "number_of",
    "object_key",
    "parse_pointer",
    "pointer_key",
    "pointer_name",
    "version_of_file",
]

SCHEMA_VERSION = 1
"""The schema of pointers; newer ones are refused."""

POINTERS = "current"
"""Folder of all pointers: one listing tells a service whether anything has changed."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}")
_VERSION = re.compile(r"([1-9][0-9]{0,8})-([0-9a-f]{16})")
_POINTER_SUFFIX, _OBJECT_SUFFIX = ".json", ".safetensors"
_DAMAGE = (AttributeError, IndexError, KeyError, TypeError, ValueError)


@dataclass(frozen=True, kw_only=True, slots=True)
class RegistryEntry:
    """What a pointer says of a concept.

    Attributes:
        name: In the registry.
        size_bytes: The size of the current version's file.
        published_at: When it became current: ISO 8601, UTC.
        metadata: The texts that the concept file holds: so a listing reads no file.
        history: Versions that were current, oldest first, the current one last; never empty.
    """

    name: str
    size_bytes: int
    published_at: str
    metadata: Mapping[str, str] = field(repr=False)
    history: tuple[str, ...]

    @property
    def version(self) -> str:
        """The current one."""
        return self.history[-1]

    def pointer(self) -> bytes:
        """Return the pointer's content."""
        content = {
            "schema_version": SCHEMA_VERSION,
            "history": self.history,
            "size_bytes": self.size_bytes,
            "published_at": self.published_at,
            "metadata": dict(self.metadata),
        }
        return json.dumps(content, indent=1).encode()


def check_name(name: str) -> str:
    """Return a concept's name if a registry can have it.

    Raises:
        RegistryError: No file can have this name.
    """
    if not _NAME.fullmatch(name):
        raise RegistryError(
            f"{name[:120]!r} is no name for a registry; expected 1 to 100 of the letters a to z "
            "and A to Z, digits, '-' and '_', such as mycat"
        )
    return name


def concept_folder(name: str) -> str:
    """Return the folder of a concept's versions."""
    return f"concepts/{name}"


def object_key(name: str, version: str) -> str:
    """Return the key of the file of a version."""
    return f"{concept_folder(name)}/{version}{_OBJECT_SUFFIX}"


def pointer_key(name: str) -> str:
    """Return the key of a concept's pointer."""
    return f"{POINTERS}/{name}{_POINTER_SUFFIX}"


def pointer_name(file: str) -> str | None:
    """Return the concept of a file among the pointers, or None for anything else there."""
    name = file.removesuffix(_POINTER_SUFFIX)
    return name if name != file and _NAME.fullmatch(name) else None


def version_of_file(file: str) -> str | None:
    """Return the version of a file in a concept's folder, or None for anything else there."""
    version = file.removesuffix(_OBJECT_SUFFIX)
    return version if version != file and _VERSION.fullmatch(version) else None


def number_of(version: str) -> int:
    """Return the number of a version, from 1."""
    return int(version.partition("-")[0])


def digest_of(version: str) -> str:
    """Return the hash of a version, 16 hex digits."""
    return version.partition("-")[2]


def history_back_to(history: tuple[str, ...], version: str) -> tuple[str, ...]:
    """Return the history as it was when a version was last current, else with it added."""
    if version not in history:
        return (*history, version)
    return history[: len(history) - history[::-1].index(version)]


def metadata_of(data: bytes) -> dict[str, str]:
    """Return the metadata of a whole safetensors file: 8 bytes of length, then a JSON header."""
    length = int.from_bytes(data[:8], "little")
    return dict(json.loads(data[8 : 8 + length])["__metadata__"])


def parse_pointer(name: str, data: bytes, where: str) -> RegistryEntry:
    """Read a pointer.

    Args:
        name: Its concept.
        data: The pointer's content.
        where: How an error names it.

    Raises:
        RegistryError: The entry is damaged, or a newer version wrote it.
    """
    try:
        content: dict[str, Any] = json.loads(data)
        schema = int(content["schema_version"])
    except _DAMAGE as error:
        raise _damaged(where, error) from error
    if schema > SCHEMA_VERSION:
        raise RegistryError(
            f"{where}: pointer of schema {schema}, this version reads up to {SCHEMA_VERSION}; "
            "update this software"
        )
    try:
        history = tuple(map(str, content["history"]))
        if not history or not all(map(_VERSION.fullmatch, history)):
            raise ValueError("history")
        return RegistryEntry(
            name=name,
            size_bytes=int(content["size_bytes"]),
            published_at=str(content["published_at"]),
            metadata={str(key): str(text) for key, text in content["metadata"].items()},
            history=history,
        )
    except _DAMAGE as error:
        raise _damaged(where, error) from error


def _damaged(where: str, error: Exception) -> RegistryError:
    return RegistryError(
        f"{where}: the pointer is damaged ({error!r}); publish the concept again, or delete it"
    )
