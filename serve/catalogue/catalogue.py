"""The catalogue: the concepts of a registry as they are now, and who may see and change them.

A thread looks at the registry every other second, so what training publishes is there within
seconds. Everything else that is read comes from memory.
"""

import logging
import threading
from dataclasses import replace

from cdcore.errors import ConfigError, RegistryError, UnknownConceptError
from cdcore.registry.entry import RegistryEntry, check_name
from cdcore.registry.registry import Registry
from cdcore.registry.watch import RegistryWatch
from serve.catalogue.caller import Caller
from serve.catalogue.listed_concept import ListedConcept
from serve.catalogue.owners import Owners
from serve.concepts.mix import ConceptRef

__all__ = ["Catalogue"]

_log = logging.getLogger(__name__)

_MAX_CONCEPTS_SHOWN = 20


class Catalogue:
    """Concepts by name, for callers; `start` it, and `close` it at the end.

    What a caller may not see does not exist: every method raises `UnknownConceptError` for it, as
    for a name that nobody has. Methods that say so read the store, and may take a while.
    """

    def __init__(self, registry: Registry, *, poll_s: float = 2.0) -> None:
        """Follow a registry, from the first `refresh` on.

        Args:
            registry: The registry to follow.
            poll_s: Time between two looks, seconds.
        """
        self._registry = registry
        self._watch = RegistryWatch(registry)
        self._owners = Owners(registry.store)
        self._poll_s = poll_s
        self._entries: dict[str, RegistryEntry] = {}
        self._listed: dict[str, ListedConcept] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="catalogue", daemon=True)

    def start(self) -> None:
        """Look once, and from now on by a thread of its own."""
        self._try_to_refresh()
        self._thread.start()

    def close(self) -> None:
        """Stop looking."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def refresh(self) -> None:
        """Look now.

        Raises:
            OSError: The store cannot be read; what was known stays.
        """
        with self._lock:
            # Owners first: they are written first.
            self._owners.look()
            changes = self._watch.look()
            self._entries |= changes.published
            for name in changes.removed:
                self._entries.pop(name, None)
            listed = {}
            for name, entry in self._entries.items():
                before, owner = self._listed.get(name), self._owners.owner(name)
                if before is not None and before.entry is entry and before.owner == owner:
                    listed[name] = before
                    continue
                try:
                    listed[name] = ListedConcept.of(entry, owner)
                except RegistryError as error:
                    _log.warning("%s", error)
            for damage in changes.damaged.values():
                _log.warning("%s", damage)
            self._listed = listed

    @property
    def count(self) -> int:
        """How many concepts there are, whoever may see them."""
        return len(self._listed)

    def concepts(self, caller: Caller) -> list[ListedConcept]:
        """Return all concepts that a caller may see, by name."""
        return [known for _, known in sorted(self._listed.items()) if caller.may_see(known.owner)]

    def concept(self, name: str, caller: Caller) -> ListedConcept:
        """Return a concept.

        Raises:
            UnknownConceptError: There is none of that name.
        """
        found = self._listed.get(name)
        if found is None or not caller.may_see(found.owner):
            raise self._unknown(name, caller)
        return found

    def reference(self, name: str, version: str | None, caller: Caller) -> ConceptRef:
        """Return what names a version's content; reads the store for one that is not current.

        Args:
            name: The concept's name.
            version: A version as `versions` has it, or its number; None for the current one.
            caller: Who asks.

        Raises:
            UnknownConceptError: There is no such concept or version.
            OSError: The store cannot be read.
        """
        current = self.concept(name, caller).version
        if version is None or version in (current, current.partition("-")[0]):
            return ConceptRef(name, current)
        existing = self._registry.versions(name)
        found = [known for known in existing if version in (known, known.partition("-")[0])]
        if len(found) != 1:
            raise UnknownConceptError(
                f"there is no version {version[:40]!r} of concept {name!r}; it has "
                f"{', '.join(existing)}"
            )
        return ConceptRef(name, found[0])

    def at(self, reference: ConceptRef, caller: Caller) -> ListedConcept:
        """Return a concept as it is in one of its versions; reads the store for an earlier one.

        Raises:
            UnknownConceptError: There is no such concept or version.
            ConceptFileError: The file of the version is damaged.
            OSError: The store cannot be read.
        """
        current = self.concept(reference.name, caller)
        if reference.version == current.version:
            return current
        earlier = self._registry.load(reference.name, reference.version)
        return replace(
            current,
            subjects=earlier.subjects,
            base_name=earlier.base_name,
            base_fingerprint=earlier.base_fingerprint,
        )

    def versions(self, name: str, caller: Caller) -> list[str]:
        """Return all versions of a concept, oldest first; reads the store.

        Raises:
            UnknownConceptError: There is no such concept.
            OSError: The store cannot be read.
        """
        return self._registry.versions(self.concept(name, caller).name)

    def publish(self, name: str, data: bytes, caller: Caller) -> ListedConcept:
        """Make a concept file, which was examined, the current version of a name.

        Raises:
            RegistryError: The name is impossible.
            UnknownConceptError: The name is another owner's.
            ConfigError: The caller has too many concepts.
            ConceptFileError: The data is no concept file.
            OSError: The registry cannot be written.
        """
        is_new = self._claim(check_name(name), caller)
        try:
            self._registry.publish(data, name)
        except Exception:
            if is_new:
                self._owners.forget(name)
            raise
        self.refresh()
        return self.concept(name, caller)

    def delete(self, name: str, version: str | None, caller: Caller) -> None:
        """Delete a concept, or one version that is not current; writes the store.

        Raises:
            UnknownConceptError: There is no such concept that the caller may change.
            RegistryError: The version is current.
            OSError: The store cannot be written.
        """
        self._check_change(name, caller)
        self._registry.delete(name, version)
        if version is None:
            self._owners.forget(name)
        self.refresh()

    def rollback(self, name: str, version: str | None, caller: Caller) -> ListedConcept:
        """Make an earlier version current again, the one before when None; writes the store.

        Raises:
            UnknownConceptError: There is no such concept or version that the caller may change.
            OSError: The store cannot be written.
        """
        self._check_change(name, caller)
        self._registry.rollback(name, version)
        self.refresh()
        return self.concept(name, caller)

    def _claim(self, name: str, caller: Caller) -> bool:
        """Make sure that a name is the caller's; whether it has become so now."""
        with self._registry.store.turn():
            owner = self._owners.owner_now(name)
            exists = owner is not None or name in self._registry.names()
            if exists and not caller.may_change(owner):
                raise UnknownConceptError(
                    f"there is no concept {name!r} that this key may change; choose another name"
                )
            if exists or not caller.owner:
                return False
            own = sum(known.owner == caller.owner for known in self._listed.values())
            if caller.max_concepts is not None and own >= caller.max_concepts:
                raise ConfigError(
                    f"this key may keep {caller.max_concepts} concepts and has {own}; delete one"
                )
            self._owners.write(name, caller.owner)
            return True

    def _check_change(self, name: str, caller: Caller) -> None:
        if not caller.may_change(self.concept(name, caller).owner):
            raise UnknownConceptError(
                f"concept {name!r} is everybody's: only a key of an administrator may change it"
            )

    def _unknown(self, name: str, caller: Caller) -> UnknownConceptError:
        names = [known.name for known in self.concepts(caller)]
        shown = ", ".join(names[:_MAX_CONCEPTS_SHOWN]) or "none"
        more = ", ..." if len(names) > _MAX_CONCEPTS_SHOWN else ""
        return UnknownConceptError(f"there is no concept {name[:100]!r}; there are {shown}{more}")

    def _follow(self) -> None:
        while not self._stopped.wait(self._poll_s):
            self._try_to_refresh()

    def _try_to_refresh(self) -> None:
        try:
            self.refresh()
        except OSError as error:
            _log.warning("the registry cannot be read, its concepts stay as they were: %s", error)
        except Exception:
            _log.exception("the registry could not be followed")
