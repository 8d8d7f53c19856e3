"""Cards of drawn concepts for the tests of merging."""

from collections.abc import Sequence

import torch

from benchmarks.merging import case as merging_case
from cdcore.concepts.merge_inputs import Card
from cdcore.model.update import Update

__all__ = ["make_cards"]


def make_cards(
    count: int,
    shape: tuple[int, int],
    *,
    targets: int = 6,
    seed: int = 0,
    updates: Sequence[Update] | None = None,
) -> list[Card]:
    """Return cards of concepts whose updates, where none are given, are drawn.

    Args:
        count: How many.
        shape: (D, d).
        targets: Target rows of each.
        seed: Of all draws.
        updates: Of each concept.
    """
    generator = torch.Generator().manual_seed(seed)
    drawn = [
        Update(weight=torch.randn(shape, generator=generator) / shape[1] ** 0.5)
        for _ in range(count)
    ]
    return merging_case.make_cards(updates or drawn, targets=targets, seed=seed)
