"""A concept with all that a concept can have, for the tests of what it is and how it is stored."""

from cdcore.concepts.concept import Concept
from cdcore.model.base import Base
from tests.cdcore.concept_case import make_concept

__all__ = ["NOUNS", "full_concept"]

NOUNS = ("wooden pot", "cat", "dog")


def full_concept(
    base: Base, *, rank: int | None = None, subjects: int = 1, has_tokens: bool = True
) -> Concept:
    """Make a concept with rows of its own, figures and parents."""
    return make_concept(
        base,
        *NOUNS[:subjects],
        tokens=[f"<my{number}>" if has_tokens else None for number in range(subjects)],
        rank=rank,
        rows=5,
        training={"steps": 3, "pictures": ["a.png"]},
        metrics={"identity": 0.5},
        parents=({"name": "one", "weight": 0.5}, {"name": "two", "weight": 0.5}),
    )
