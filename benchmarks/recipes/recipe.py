"""What every recipe can do, so that one race fits them all."""

from typing import Protocol

from cdcore.concepts.concept import Concept

__all__ = ["Recipe"]


class Recipe(Protocol):
    """A way to train a concept, in any number of pieces."""

    def advance(self, steps: int) -> None:
        """Do that many more steps."""

    def concept(self) -> Concept:
        """What has been trained so far, on the CPU."""
