"""A registry: a folder of concept files with versions, the only way from training to serving.

    concepts/NAME/3-0123456789abcdef.safetensors    immutable, named by its content
    current/NAME.json                               the pointer, a few kilobytes, written last

A concept is what its pointer names. The folder is a local path or any URI of `pyarrow.fs`.

**A kill between the two writes** leaves a whole object that no pointer names: the concept is as it
was before. Publishing again finds the object by its content and writes the pointer. A kill during a
write leaves nothing under a final name (`cdcore.registry.object_store`).

**Concurrent publishers** never overwrite each other's objects: two may take the same number, but
not the same name. On a local path they take turns, and the history has every version in order. An
object store has no locks: there the last pointer written wins, and its history may lack the other's
version, which can still be resolved by name. Deleting a concept there while another process
publishes it may leave a pointer to a deleted object; readers say so, and publishing again mends it.

Names come from clients and are never trusted; what is read is checked against its version's hash.
"""

import hashlib
import tempfile
import uuid
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from cdcore.concepts.concept import Concept
from cdcore.concepts.storage import load_concept
from cdcore.errors import ConceptFileError, RegistryError, UnknownConceptError
from cdcore.registry.content_cache import ContentCache, check_content
from cdcore.registry.entry import (
    POINTERS,
    RegistryEntry,
    check_name,
    concept_folder,
    digest_of,
    history_back_to,
    metadata_of,
    number_of,
    object_key,
    parse_pointer,
    pointer_key,
    pointer_name,
    version_of_file,
)
from cdcore.registry.object_store import ObjectStore
from cdcore.user_paths import expanded

__all__ = ["Registry"]

_CACHE = Path("~/.cache/customdiffusion/registry")
_CACHE_BYTES = 20 * 2**30
_HISTORY_LENGTH = 100
_DIGEST_LENGTH = 16
_ATTEMPTS = 5


class Registry:
    """Concepts by name, and their versions.

    Every method raises `RegistryError` for an impossible name or a damaged pointer, and `OSError`
    when the store cannot be reached, read or written.
    """

    def __init__(
        self, location: str | Path, *, cache: Path = _CACHE, cache_bytes: int = _CACHE_BYTES
    ) -> None:
        """Open a registry; nothing is written, and a missing folder is an empty registry.

        Args:
            location: A folder, or a URI such as ``s3://bucket/concepts``.
            cache: Folder for copies of files that are not local.
            cache_bytes: The cache may grow to; the least recently used files go first.

        Raises:
            RegistryError: pyarrow cannot open such a URI.
        """
        self.store = ObjectStore(location)
        self._cache = ContentCache(Path(expanded(str(cache))), cache_bytes)

    def address(self, name: str, version: str) -> str:
        """Return the absolute path, or the URI, of the file of a version."""
        return self.store.address(object_key(name, version))

    def publish(self, source: Path | bytes, name: str | None = None) -> RegistryEntry:
        """Make a concept file the current version of its name.

        The same content again is the same version; if that is current, nothing is written.

        Args:
            source: A concept file, or its bytes.
            name: In the registry; default the concept's own.

        Returns:
            What the name stands for now.

        Raises:
            ConceptFileError: This is no concept file.
            OSError: The registry cannot be written; nobody sees a change.
        """
        data, own_name = _examined(source)
        name = check_name(own_name if name is None else name)
        digest = hashlib.sha256(data).hexdigest()[:_DIGEST_LENGTH]
        with self.store.turn() as is_alone:
            if is_alone:
                self._sweep(name)
            before = self._entry_or_none(name)
            existing = self.versions(name)
            version = next((known for known in existing if digest_of(known) == digest), None)
            if version is None:
                number = number_of(existing[-1]) + 1 if existing else 1
                version = f"{number}-{digest}"
                self.store.create(object_key(name, version), data)
            elif before is not None and before.version == version:
                return before
            return self._point(name, data, (*(before.history if before else ()), version))

    def check_writable(self) -> None:
        """Find out before long work whether its result could be published; nothing is left."""
        probe = f"{POINTERS}/.probe-{uuid.uuid4().hex}"
        self.store.put(probe, b"")
        self.store.delete(probe)

    def names(self) -> list[str]:
        """Return the names of all concepts, sorted; one listing, no file is read."""
        return sorted(filter(None, map(pointer_name, self.store.listing(POINTERS))))

    def entries(self) -> list[RegistryEntry]:
        """Return what every name stands for; a service polls with `RegistryWatch` instead."""
        found = [self._entry_or_none(name) for name in self.names()]
        return [entry for entry in found if entry is not None]

    def entry(self, name: str) -> RegistryEntry:
        """Return what a name stands for.

        Raises:
            UnknownConceptError: There is no such concept.
        """
        entry = self._entry_or_none(check_name(name))
        if entry is None:
            raise UnknownConceptError(f"there is no concept {name!r}")
        return entry

    def versions(self, name: str) -> list[str]:
        """Return all versions of a concept, current or not, by number; empty for none."""
        files = self.store.listing(concept_folder(check_name(name)))
        found = filter(None, map(version_of_file, files))
        return sorted(found, key=lambda version: (number_of(version), version))

    def resolve(self, name: str, version: str | None = None) -> Path:
        """Return the file of a concept, fetched into the cache when it is not local.

        Args:
            name: The name of the concept.
            version: One of `versions`, or its number alone where only one has it; default the
                current one.

        Returns:
            A file of just that content. In a local registry it is the published file itself, which
            must not be changed and goes when the version is deleted.

        Raises:
            UnknownConceptError: There is no such concept or version.
            RegistryError: The number is ambiguous, or the file damaged.
        """
        if version is not None:
            return self._file(name, self._known(check_name(name), version))
        for attempt in range(_ATTEMPTS):
            entry = self.entry(name)
            try:
                return self._file(name, entry.version)
            except UnknownConceptError:
                # Since the pointer was read, another was published and this one deleted.
                if attempt == _ATTEMPTS - 1 or self.entry(name).version == entry.version:
                    raise
        raise AssertionError

    def load(self, name: str, version: str | None = None) -> Concept:
        """Read a concept, under its name in the registry; arguments and errors as for `resolve`.

        Raises:
            ConceptFileError: A newer version of this software wrote the file.
        """
        for _ in range(_ATTEMPTS):
            path = self.resolve(name, version)
            try:
                return load_concept(path).renamed(name)
            except ConceptFileError:
                # Deleted, or pruned from the cache, after it was resolved.
                if path.exists():
                    raise
        raise UnknownConceptError(f"the file of concept {name!r} goes as fast as it is fetched")

    def rollback(self, name: str, version: str | None = None) -> RegistryEntry:
        """Make an earlier version current again; nothing is deleted.

        Args:
            name: The name of the concept.
            version: As for `resolve`; default the one that was current before, so rolling back
                twice goes back two.

        Returns:
            What the name stands for now.

        Raises:
            UnknownConceptError: There is no such concept, version or earlier version.
        """
        with self.store.turn():
            history = self.entry(name).history
            existing = self.versions(name)
            if version is None:
                version = next((old for old in history[-2::-1] if old in existing), None)
            else:
                version = self._known(name, version)
            if version is None:
                raise UnknownConceptError(
                    f"concept {name!r} has no earlier version; it has {', '.join(existing)}"
                )
            kept = history_back_to(history, version)
            return self._point(name, self._file(name, version).read_bytes(), kept)

    def delete(self, name: str, version: str | None = None) -> None:
        """Delete a concept, or one version that is not current.

        The pointer goes first: a kill leaves objects that nothing names, and deleting again
        removes them.

        Raises:
            UnknownConceptError: There is no such concept or version.
            RegistryError: The version is current.
        """
        with self.store.turn():
            if version is None:
                self._delete_all(check_name(name))
                return
            version = self._known(check_name(name), version)
            entry = self._entry_or_none(name)
            if entry is not None and entry.version == version:
                raise RegistryError(
                    f"version {version} of {name!r} is current; roll back first, or delete the "
                    "whole concept"
                )
            if entry is not None and version in entry.history:
                kept = tuple(old for old in entry.history if old != version)
                self._write(replace(entry, history=kept))
            self.store.delete(object_key(name, version))

    def read_entry(self, name: str) -> RegistryEntry:
        """Read the pointer of a name that is known to be one.

        Raises:
            FileNotFoundError: There is no such concept.
        """
        key = pointer_key(name)
        return parse_pointer(name, self.store.read(key), self.store.address(key))

    def _entry_or_none(self, name: str) -> RegistryEntry | None:
        try:
            return self.read_entry(name)
        except FileNotFoundError:
            return None

    def _point(self, name: str, data: bytes, history: tuple[str, ...]) -> RegistryEntry:
        entry = RegistryEntry(
            name=name,
            size_bytes=len(data),
            published_at=datetime.now(UTC).isoformat(),
            metadata=metadata_of(data),
            history=history[-_HISTORY_LENGTH:],
        )
        self._write(entry)
        return entry

    def _write(self, entry: RegistryEntry) -> None:
        self.store.put(pointer_key(entry.name), entry.pointer())

    def _known(self, name: str, version: str) -> str:
        existing = self.versions(name)
        found = [known for known in existing if version in (known, str(number_of(known)))]
        if len(found) > 1:
            raise RegistryError(
                f"version {version} of {name!r} is {' or '.join(found)}; write one in full"
            )
        if not found:
            raise UnknownConceptError(
                f"there is no version {version[:40]!r} of {name!r}; it has "
                f"{', '.join(existing) or 'none'}"
            )
        return found[0]

    def _file(self, name: str, version: str) -> Path:
        key, digest = object_key(name, version), digest_of(version)
        where, file = self.store.address(key), self.store.file(key)
        try:
            if file is None:
                return self._cache.file(digest, lambda: self.store.read(key), where)
            check_content(file.read_bytes(), digest, where)
            return file
        except FileNotFoundError as error:
            raise UnknownConceptError(
                f"{where} does not exist; publish {name!r} again, or delete it"
            ) from error

    def _delete_all(self, name: str) -> None:
        existing = self.versions(name)
        if not existing and name not in self.names():
            raise UnknownConceptError(f"there is no concept {name!r}")
        self.store.delete(pointer_key(name))
        for version in existing:
            self.store.delete(object_key(name, version))
        if self.store.is_local:
            self.store.delete_folder(concept_folder(name))

    def _sweep(self, name: str) -> None:
        """Delete what killed writers of a local store have left beside the final names."""
        for folder in (concept_folder(name), POINTERS):
            for file in self.store.listing(folder):
                if file.startswith("."):
                    self.store.delete(f"{folder}/{file}")


def _examined(source: Path | bytes) -> tuple[bytes, str]:
    """Return the bytes of a concept file and the concept's own name."""
    if isinstance(source, Path):
        name = load_concept(source).name
        return source.read_bytes(), name
    with tempfile.NamedTemporaryFile(suffix=".safetensors") as file:
        file.write(source)
        file.flush()
        return source, load_concept(Path(file.name)).name
