"""Whose concepts are: a small object beside each that was uploaded with a key.

``owners/NAME.json`` is written before the concept and deleted after it, so that a kill between two
writes leaves no concept of one owner open to all.
"""

import json

from cdcore.registry.entry import check_name
from cdcore.registry.object_store import ObjectStat, ObjectStore

__all__ = ["NOBODY", "Owners"]

_FOLDER, _SUFFIX = "owners", ".json"

NOBODY = "\0"
"""Owner of a concept whose owner cannot be read: no key stands for it."""


class Owners:
    """Owners of the concepts of a registry; for one thread at a time."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._known: dict[str, tuple[ObjectStat, str]] = {}

    def look(self) -> None:
        """Read what has changed: one listing, and one small object for each change.

        Raises:
            OSError: The store cannot be read.
        """
        known = {}
        for file, stat in self._store.listing(_FOLDER).items():
            name = file.removesuffix(_SUFFIX)
            if name == file:
                continue
            before = self._known.get(name)
            # An owner never changes without the concept's deletion, but clocks are coarse.
            is_same = before is not None and before[0] == stat
            known[name] = before if is_same and before else (stat, self._read(name) or NOBODY)
        self._known = known

    def owner(self, name: str) -> str | None:
        """Return the owner of a concept as of the last look, or None for none."""
        known = self._known.get(name)
        return None if known is None else known[1]

    def owner_now(self, name: str) -> str | None:
        """Return the owner of a concept as the store has it.

        Raises:
            OSError: The store cannot be read.
        """
        return self._read(name)

    def write(self, name: str, owner: str) -> None:
        """Give a concept an owner.

        Raises:
            OSError: The store cannot be written.
        """
        self._store.put(self._key(name), json.dumps({"owner": owner}).encode())

    def forget(self, name: str) -> None:
        """Take a concept's owner away.

        Raises:
            OSError: The store cannot be written.
        """
        self._store.delete(self._key(name))
        self._known.pop(name, None)

    def _read(self, name: str) -> str | None:
        try:
            return str(json.loads(self._store.read(self._key(name)))["owner"])
        except FileNotFoundError:
            return None
        except (KeyError, TypeError, ValueError):
            return NOBODY

    def _key(self, name: str) -> str:
        return f"{_FOLDER}/{check_name(name)}{_SUFFIX}"
