"""Which concepts a request uses, and how: the key of everything that is cached for it."""

import math
from dataclasses import dataclass
from typing import Self

from cdcore.errors import ConfigError

__all__ = ["ConceptMix", "ConceptRef"]


@dataclass(frozen=True, order=True, slots=True)
class ConceptRef:
    """A concept at one version, whose content never changes.

    Attributes:
        name: The concept's name.
        version: Names the content, as a registry does.
    """

    name: str
    version: str


@dataclass(frozen=True, slots=True)
class ConceptMix:
    """Concepts with weights, in canonical order, so that equal mixes have equal keys.

    Attributes:
        parts: Each concept once, with its weight, sorted; empty for the base itself.
        method: How they are merged; empty where nothing is to be merged.
    """

    parts: tuple[tuple[ConceptRef, float], ...] = ()
    method: str = ""

    @classmethod
    def of(cls, *parts: tuple[ConceptRef, float], method: str) -> Self:
        """Put concepts in order.

        Args:
            parts: Concepts and weights, in any order.
            method: How they are merged when there are several.

        Raises:
            ConfigError: A concept is named twice, or a weight is not finite.
        """
        names = [reference.name for reference, _ in parts]
        if len(set(names)) != len(names):
            raise ConfigError(f"concepts {', '.join(names)}: expected each concept once")
        for reference, weight in parts:
            if not math.isfinite(weight):
                raise ConfigError(
                    f"concept {reference.name!r} has the weight {weight}, expected a number"
                )
        return cls(tuple(sorted(parts)), method if len(parts) > 1 else "")

    @property
    def references(self) -> tuple[ConceptRef, ...]:
        """The concepts without their weights, in the same order."""
        return tuple(reference for reference, _ in self.parts)

    @property
    def is_plain(self) -> bool:
        """Whether the mix is one concept as it was taught, or none: nothing is to be computed."""
        return not self.parts or (len(self.parts) == 1 and self.parts[0][1] == 1)
