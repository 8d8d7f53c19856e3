"""A concept as the service lists it: what its registry's pointer says, and whose it is."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cdcore.concepts.header import METADATA_KEY
from cdcore.concepts.subject import Subject
from cdcore.errors import RegistryError
from cdcore.registry.entry import RegistryEntry

__all__ = ["ListedConcept"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedConcept:
    """A concept of the registry.

    Attributes:
        entry: What its name stands for.
        subjects: What it teaches.
        base_name: The base it was trained on, as the user named it.
        base_fingerprint: That base's fingerprint.
        metrics: Figures of its quality.
        parents: Name and weight of each concept that a merge was made of.
        created_at: When the concept was trained or merged.
        owner: Whose the concept is, or None for everybody's.
    """

    entry: RegistryEntry
    subjects: tuple[Subject, ...]
    base_name: str
    base_fingerprint: str
    metrics: Mapping[str, Any]
    parents: tuple[Mapping[str, Any], ...]
    created_at: str
    owner: str | None

    @classmethod
    def of(cls, entry: RegistryEntry, owner: str | None) -> "ListedConcept":
        """Read what a pointer holds of its concept file.

        Raises:
            RegistryError: What the pointer holds is damaged.
        """
        try:
            described = json.loads(entry.metadata[METADATA_KEY])
            return cls(
                entry=entry,
                subjects=tuple(Subject(**subject) for subject in described["subjects"]),
                base_name=str(described["base_name"]),
                base_fingerprint=str(described["base_fingerprint"]),
                metrics=dict(described["metrics"]),
                parents=tuple(
                    {"name": str(parent["name"]), "weight": float(parent["weight"])}
                    for parent in described["parents"]
                ),
                created_at=str(described["created_at"]),
                owner=owner,
            )
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise RegistryError(
                f"concept {entry.name!r}: what its pointer says of it is damaged ({error!r}); "
                "publish it again"
            ) from error

    @property
    def name(self) -> str:
        """The concept's name in the registry."""
        return self.entry.name

    @property
    def version(self) -> str:
        """The version that is current."""
        return self.entry.version

    @property
    def tokens(self) -> tuple[str, ...]:
        """The modifier tokens of its subjects."""
        return tuple(subject.token for subject in self.subjects if subject.token is not None)

    @property
    def names(self) -> tuple[str, ...]:
        """What prompts name its subjects by: tokens, or nouns in lower case without one."""
        return tuple(subject.token or subject.class_noun.lower() for subject in self.subjects)

    @property
    def phrases(self) -> tuple[str, ...]:
        """How prompts name each of its subjects."""
        return tuple(subject.phrase for subject in self.subjects)
