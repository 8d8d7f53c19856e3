"""Concepts and captions of any shape, drawn with a spectrum like that of text features."""

import torch
from torch import Tensor

from cdcore.caption_statistics import CaptionStatistics, statistics_of_rows
from cdcore.card import Card, Rows
from cdcore.subject import Subject
from cdcore.update import Update

__all__ = ["FINGERPRINT", "draw_features", "make_cards", "make_statistics", "values_of"]

FINGERPRINT = "f" * 64
"""Of the base that all these are of."""

_DECADES = 2.5
"""Between the strongest and the weakest direction of features; their second moment has twice."""


def draw_features(count: int, width: int, seed: int, *, basis_seed: int = 0) -> Tensor:
    """Return rows (count, width) float32 around a common mean, of a falling spectrum."""
    shared = torch.Generator().manual_seed(basis_seed)
    rotation = torch.linalg.qr(torch.randn(width, width, generator=shared))[0]
    mean = torch.randn(width, generator=shared)
    scale = torch.logspace(0, -_DECADES, width)
    noise = torch.randn(count, width, generator=torch.Generator().manual_seed(seed))
    features: Tensor = mean + (noise * scale) @ rotation * width**0.5
    return features


def make_statistics(width: int, *, rows: int | None = None, seed: int = 77) -> CaptionStatistics:
    """Return the statistics of drawn captions."""
    count = 4 * width if rows is None else rows
    features = draw_features(count, width, seed)
    return statistics_of_rows(
        features, draw_features(count, width, seed + 1), base_energy=100.0, fingerprint=FINGERPRINT
    )


def values_of(update: Update, features: Tensor) -> Rows:
    """Return features with what an update makes of them."""
    return Rows(features=features, values=update.apply(features))


def make_cards(
    count: int,
    shape: tuple[int, int],
    *,
    targets: int = 6,
    seed: int = 0,
    updates: list[Update] | None = None,
) -> list[Card]:
    """Return cards of concepts ``one``, ``two`` ... with drawn features and updates.

    Args:
        count: How many.
        shape: (D, d).
        targets: Target rows of each concept.
        seed: Of all draws.
        updates: Of each concept; drawn where missing.
    """
    rows, width = shape
    generator = torch.Generator().manual_seed(seed)
    cards = []
    for index in range(count):
        update = (
            Update(weight=torch.randn(rows, width, generator=generator) / width**0.5)
            if updates is None
            else updates[index]
        )
        first = 1000 * seed + 10 * index
        sketch = draw_features(48, width, first + 1)
        sketch = torch.linalg.svd(sketch / 48**0.5, full_matrices=False)
        token = f"<concept{index}>"
        cards.append(
            Card(
                name=f"concept{index}",
                subjects=(Subject(class_noun="cat", token=token),),
                tokens={token: torch.randn(width, generator=generator)},
                base_name="drawn",
                base_fingerprint=FINGERPRINT,
                constraint=values_of(update, draw_features(targets, width, first)),
                sketch=values_of(update, (sketch.S[:, None] * sketch.Vh)[:32]),
                held_out=values_of(update, draw_features(8, width, first + 2)),
            )
        )
    return cards
