"""Merge inputs of drawn concepts for the tests of merging."""

from collections.abc import Sequence

import torch

from benchmarks.merging import case as merging_case
from cdcore.concepts.merge_inputs import MergeInputs
from cdcore.model.update import DenseUpdate, Update

__all__ = ["made_inputs"]


def made_inputs(
    count: int,
    shape: tuple[int, int],
    *,
    targets: int = 6,
    seed: int = 0,
    updates: Sequence[Update] | None = None,
) -> list[MergeInputs]:
    """Return merge inputs of concepts whose updates, where none are given, are drawn.

    Args:
        count: How many.
        shape: (D, d).
        targets: Target rows of each.
        seed: Of all draws.
        updates: Of each concept.
    """
    generator = torch.Generator().manual_seed(seed)
    drawn = [
        DenseUpdate(torch.randn(shape, generator=generator) / shape[1] ** 0.5) for _ in range(count)
    ]
    return merging_case.draw_merge_inputs(updates or drawn, targets=targets, seed=seed)
