"""Concepts in memory and on the local disk: the threads and files of
`serve.policies.concept_cache`.

Loads run on the threads of an executor, never on the engine's. What is in memory is kept in half
precision where that loses nothing, as for every concept that was read from a file.
"""

import hashlib
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import torch

from cdcore.concepts.concept import Concept
from cdcore.concepts.storage import load_concept
from cdcore.errors import ConceptFileError, CustomDiffusionError
from cdcore.files import replacing
from cdcore.model.base import Base
from serve.concepts.mix import ConceptRef
from serve.concepts.tensor_sizes import tensor_bytes, tensors_in
from serve.policies.concept_cache import Action, ConceptCache, Evict, Fail, Grant, Load, Sizes

__all__ = ["ConceptSource", "ConceptStore", "Lease"]

_log = logging.getLogger(__name__)

_FILE_TO_MEMORY = 2
"""A file holds half precision, and is read in single."""


class ConceptSource(Protocol):
    """Where concept files come from, such as a registry; used by several threads."""

    def file_bytes(self, reference: ConceptRef) -> int:
        """Return the size of a concept's file; called for each request, so it must be quick."""

    def fetch(self, reference: ConceptRef, path: Path) -> None:
        """Write a concept's file to ``path``, which exists and is empty; its mode becomes 0644.

        Raises:
            CustomDiffusionError: There is no such concept.
            OSError: The file cannot be read.
        """


class Lease:
    """The right to use some concepts, once they are in memory, until it is returned."""

    def __init__(
        self, references: Sequence[ConceptRef], on_settled: Callable[["Lease"], None]
    ) -> None:
        """Describe a lease that `ConceptStore.request` is then asked for.

        Args:
            references: Concepts, each once.
            on_settled: Is called once, when the lease settles, by the thread that asks or by one
                that loads; not at all when it is released before.
        """
        self.references = tuple(references)
        self.on_settled = on_settled
        self.concepts: Mapping[ConceptRef, Concept] | None = None
        """The concepts asked for, or None as long as not all of them are there."""
        self.error: CustomDiffusionError | None = None
        """Why the concepts never will be there."""


class ConceptStore:
    """The concepts of one base."""

    def __init__(
        self,
        base: Base,
        source: ConceptSource,
        folder: Path,
        executor: Executor,
        *,
        host_bytes: int,
        disk_bytes: int,
    ) -> None:
        """Open an empty store.

        Args:
            base: Concepts of other bases are refused.
            source: Where files come from.
            folder: Takes copies of files, of this store alone; what lies there is deleted.
            executor: Lends the threads that load.
            host_bytes: Budget in memory.
            disk_bytes: Budget of the folder.
        """
        self._base = base
        self._source = source
        self._folder = folder
        self._executor = executor
        self._policy: ConceptCache[ConceptRef] = ConceptCache(
            host_bytes=host_bytes, disk_bytes=disk_bytes
        )
        self._concepts: dict[ConceptRef, Concept] = {}
        self._errors: dict[ConceptRef, CustomDiffusionError] = {}
        self._lock = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)
        for left_over in folder.glob("*.safetensors"):
            left_over.unlink()

    @property
    def leases(self) -> int:
        """How many leases are asked for or given, and not returned."""
        return self._policy.tickets

    @property
    def lookups(self) -> dict[str, int]:
        """How often a concept was found in "host", "loading", on "disk" or at the "source"."""
        return dict(self._policy.lookups)

    @property
    def used_bytes(self) -> tuple[int, int]:
        """How many bytes the concepts take in memory and on disk."""
        return self._policy.host.used_bytes, self._policy.disk.used_bytes

    def request(self, lease: Lease) -> None:
        """Ask for concepts; the lease settles now or later, and is to be released in any case.

        Raises:
            ConfigError: The concepts do not fit into memory together.
            CustomDiffusionError: The source does not know one.
        """
        needs = {}
        for reference in lease.references:
            size = self._source.file_bytes(reference)
            needs[reference] = Sizes(host=_FILE_TO_MEMORY * size, disk=size)
        with self._lock:
            settled = self._carry_out(self._policy.request(lease, needs))
        _tell(settled)

    def release(self, lease: Lease) -> None:
        """Take a lease back, or let it stop waiting; once is enough, more do no harm."""
        with self._lock:
            settled = self._carry_out(self._policy.release(lease))
        _tell(settled)

    def _carry_out(self, actions: Sequence[Action]) -> list[Lease]:
        """Do what the policy says, with the lock held; returns the leases that have settled."""
        settled: list[Lease] = []
        for action in actions:
            match action:
                case Load(ConceptRef() as key, from_disk):
                    self._executor.submit(self._load, key, from_disk)
                case Evict(ConceptRef() as key, "host"):
                    del self._concepts[key]
                case Evict(ConceptRef() as key, _):
                    self._path(key).unlink(missing_ok=True)
                case Grant(Lease() as lease):
                    lease.concepts = {key: self._concepts[key] for key in lease.references}
                    settled.append(lease)
                case Fail(Lease() as lease, ConceptRef() as key):
                    lease.error = self._errors[key]
                    settled.append(lease)
        return settled

    def _load(self, reference: ConceptRef, from_disk: bool) -> None:
        try:
            concept = self._loaded(reference, from_disk)
        except CustomDiffusionError as error:
            self._settle_failure(reference, error)
        except Exception as error:
            _log.exception("a concept could not be loaded")
            self._settle_failure(
                reference,
                ConceptFileError(f"concept {reference.name!r} cannot be loaded: {error!r}"),
            )
        else:
            with self._lock:
                self._concepts[reference] = concept
                settled = self._carry_out(self._policy.loaded(reference, tensor_bytes(concept)))
            _tell(settled)

    def _settle_failure(self, reference: ConceptRef, error: CustomDiffusionError) -> None:
        with self._lock:
            self._errors[reference] = error
            settled = self._carry_out(self._policy.failed(reference))
            del self._errors[reference]
        _tell(settled)

    def _loaded(self, reference: ConceptRef, from_disk: bool) -> Concept:
        path = self._path(reference)
        promised = self._source.file_bytes(reference)
        if not from_disk:
            with replacing(path) as temporary:
                self._source.fetch(reference, temporary)
                size = temporary.stat().st_size
                if size > promised:
                    raise ConceptFileError(
                        f"the file of concept {reference.name!r} has {size} bytes, its source "
                        f"promised {promised}; publish it again"
                    )
        concept = load_concept(path).renamed(reference.name)
        concept.check_base(self._base)
        concept = _halved(concept)
        size = tensor_bytes(concept)
        if size > _FILE_TO_MEMORY * promised:
            raise ConceptFileError(
                f"concept {reference.name!r} takes {size} bytes, more than its file of {promised} "
                "lets expect; publish it again"
            )
        return concept

    def _path(self, reference: ConceptRef) -> Path:
        # Names come from clients: the file's name is a hash.
        digest = hashlib.sha256(f"{reference.name}\0{reference.version}".encode()).hexdigest()
        return self._folder / f"{digest}.safetensors"


def _tell(settled: Sequence[Lease]) -> None:
    """Tell leases' owners, who may come back to the store at once: so the lock is not held."""
    for lease in settled:
        lease.on_settled(lease)


def _halved(concept: Concept) -> Concept:
    """Keep the update in half precision if that loses nothing."""
    half = concept.update.to("cpu", torch.float16)
    pairs = zip(tensors_in(half), tensors_in(concept.update), strict=True)
    if all(torch.equal(part.to(whole.dtype), whole) for part, whole in pairs):
        return replace(concept, update=half)
    return concept
