"""Concepts of a registry as the engine takes them: by name and version, so by content.

A replica follows no registry. A request names each concept's version, which never changes, so what
was published a moment ago is served by every replica at once, and nothing cached is ever stale.
"""

import logging
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from cdcore.concepts.merge_inputs import MergeInputs
from cdcore.concepts.storage import load_merge_inputs
from cdcore.errors import ConceptFileError, UnknownConceptError
from cdcore.registry.entry import check_name, concept_folder, version_of_file
from cdcore.registry.registry import Registry
from serve.concepts.mix import ConceptRef
from serve.concepts.tensor_sizes import tensor_bytes
from serve.policies.byte_lru import ByteLRU

__all__ = ["RegistrySource"]

_log = logging.getLogger(__name__)

_MAX_SIZES = 100_000
_MERGE_INPUTS_BYTES = 256 * 2**20


class RegistrySource:
    """A `serve.concepts.store.ConceptSource`; for several threads."""

    def __init__(
        self, registry: Registry, *, merge_inputs_bytes: int = _MERGE_INPUTS_BYTES
    ) -> None:
        """Read from a registry.

        Args:
            registry: Where concepts are published.
            merge_inputs_bytes: Budget in memory for what merges need of concepts.
        """
        self.registry = registry
        self._sizes: ByteLRU[int] = ByteLRU(_MAX_SIZES)
        self._merge_inputs: ByteLRU[MergeInputs] = ByteLRU(merge_inputs_bytes)

    def locate(self, references: Iterable[ConceptRef]) -> None:
        """Find concepts that nobody has asked for yet; reads the store, so it may take a while.

        Raises:
            UnknownConceptError: There is no such concept or version.
            OSError: The store cannot be reached.
        """
        for reference in references:
            self.file_bytes(reference)

    def file_bytes(self, reference: ConceptRef) -> int:
        """Return the size of a concept's file, at once when it was located before.

        Raises:
            UnknownConceptError: There is no such concept or version.
            OSError: The store cannot be reached.
        """
        size = self._sizes.get(reference)
        if size is None:
            size = self._listed_bytes(reference)
            self._sizes.put(reference, size, 1)
        return size

    def fetch(self, reference: ConceptRef, path: Path) -> None:
        """Copy a concept's file, checked against its version's hash, and keep its merge inputs.

        Raises:
            UnknownConceptError: The concept was deleted.
            RegistryError: The file is damaged.
            OSError: The file cannot be read, or ``path`` not written.
        """
        shutil.copyfile(self.registry.resolve(reference.name, reference.version), path)
        try:
            self._keep(reference, load_merge_inputs(path))
        except ConceptFileError as error:
            # It may be sampled all the same; a merge says what is wrong.
            _log.info("concept %s has no merge inputs: %s", reference.name, error)

    def inputs(self, reference: ConceptRef) -> MergeInputs:
        """Return a concept's merge inputs, under its name in the registry.

        Raises:
            ConceptFileError: The file has none.
            UnknownConceptError: There is no such concept or version.
            OSError: The file cannot be read.
        """
        inputs = self._merge_inputs.get(reference)
        if inputs is None:
            inputs = load_merge_inputs(self.registry.resolve(reference.name, reference.version))
            inputs = self._keep(reference, inputs)
        return inputs

    def _keep(self, reference: ConceptRef, inputs: MergeInputs) -> MergeInputs:
        named = replace(inputs, name=reference.name)
        # Hashing takes longer than a merge: here nobody waits for it.
        _ = named.digest
        self._merge_inputs.put(reference, named, tensor_bytes(named))
        return named

    def _listed_bytes(self, reference: ConceptRef) -> int:
        listing = self.registry.store.listing(concept_folder(check_name(reference.name)))
        for file, stat in listing.items():
            if version_of_file(file) == reference.version:
                return stat.size_bytes
        raise UnknownConceptError(
            f"there is no version {reference.version[:40]!r} of {reference.name!r} in "
            f"{self.registry.store.address()}; was it deleted?"
        )
