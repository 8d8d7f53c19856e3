"""A concept of the tiny base, and its file."""

import torch

from cdcore.concepts.concept import Concept
from cdcore.concepts.subject import Subject
from cdcore.model.base import Base
from tests.tiny import random_update

NOUNS = ("wooden pot", "cat", "dog")


def make_concept(
    base: Base, *, rank: int | None = None, subjects: int = 1, has_tokens: bool = True
) -> Concept:
    made = tuple(
        Subject(class_noun=noun, token=f"<my{number}>" if has_tokens else None)
        for number, noun in enumerate(NOUNS[:subjects])
    )
    generator = torch.Generator().manual_seed(5)
    width = base.seam.layout.text_width
    return Concept(
        name="mycat",
        update=random_update(base.seam.layout.shape, rank=rank),
        tokens={
            subject.token: torch.randn(width, generator=generator)
            for subject in made
            if subject.token is not None
        },
        subjects=made,
        base_name=base.name,
        base_fingerprint=base.fingerprint,
        training={"steps": 3, "pictures": ["a.png"]},
        metrics={"identity": 0.5},
        parents=({"name": "one", "weight": 0.5}, {"name": "two", "weight": 0.5}),
    )
