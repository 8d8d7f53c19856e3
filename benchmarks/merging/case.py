"""Concepts and captions of any shape, drawn with a spectrum like that of text features.

What a merge costs depends on the shapes alone; what it loses depends on the numbers, and those here
are random: no figure of quality comes from them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cdcore.concepts.merge_inputs import MergeInputs, Rows
from cdcore.concepts.subject import Subject
from cdcore.merging.caption_statistics import CaptionStatistics, statistics_of_rows
from cdcore.model.update import Update

__all__ = [
    "FINGERPRINT",
    "SHAPES",
    "StackShape",
    "draw_features",
    "draw_merge_inputs",
    "make_statistics",
    "values_of",
]

FINGERPRINT = "f" * 64
"""The fingerprint of the base that all these belong to."""

_DECADES = 2.5
"""Between the strongest and the weakest direction of features; their second moment has twice."""
_SKETCHED, _SKETCH, _HELD_OUT = 48, 32, 8
_VARIETY = 24
"""Directions that all prompts of one concept lie in, those held out too."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StackShape:
    """The K/V stack of a family of bases.

    Attributes:
        layers: How many cross-attention layers there are of each width.
        text_width: d.
    """

    layers: dict[int, int]
    text_width: int

    @property
    def heights(self) -> list[int]:
        """Rows of each matrix, keys and values."""
        return [width for width, count in self.layers.items() for _ in range(2 * count)]

    @property
    def shape(self) -> tuple[int, int]:
        """(D, d)."""
        return sum(self.heights), self.text_width


SHAPES = {
    "sd1": StackShape(layers={320: 5, 640: 5, 1280: 6}, text_width=768),
    "sd2": StackShape(layers={320: 5, 640: 5, 1280: 6}, text_width=1024),
    "sdxl": StackShape(layers={640: 10, 1280: 60}, text_width=2048),
}
"""By name: Stable Diffusion 1, 2 and XL."""


def draw_features(count: int, width: int, seed: int) -> Tensor:
    """Return rows (count, width) float32 around a common mean, of a falling spectrum."""
    shared = torch.Generator().manual_seed(0)
    mean = torch.randn(width, generator=shared)
    rotation = torch.linalg.qr(torch.randn(width, width, generator=shared))[0]
    scale = torch.logspace(0, -_DECADES, width)
    noise = torch.randn(count, width, generator=torch.Generator().manual_seed(seed))
    features: Tensor = mean + (noise * scale) @ rotation * width**0.5
    return features


def make_statistics(width: int, *, seed: int = 77) -> CaptionStatistics:
    """Return the statistics of drawn captions."""
    fitted, held_out = (draw_features(4 * width, width, seed + index) for index in range(2))
    return statistics_of_rows(fitted, held_out, base_energy=100.0, fingerprint=FINGERPRINT)


def values_of(update: Update, features: Tensor) -> Rows:
    """Return features with what an update makes of them."""
    return Rows(features=features, values=update.apply(features))


def draw_merge_inputs(
    updates: Sequence[Update], *, targets: int = 6, seed: int = 0
) -> list[MergeInputs]:
    """Return merge inputs of concepts ``concept0``, ``concept1`` ... with drawn features.

    Args:
        updates: The update of each concept, (D, d).
        targets: Target rows of each concept; 6 are those of a one-word noun with a token.
        seed: The seed of all draws.
    """
    all_inputs = []
    for index, update in enumerate(updates):
        width = update.shape[1]
        first = 1000 * seed + 10 * index
        own = draw_features(min(_VARIETY, width), width, first + 1)
        prompts, held_out = (
            torch.randn(count, len(own), generator=torch.Generator().manual_seed(first + at))
            @ own
            / len(own) ** 0.5
            for at, count in ((4, _SKETCHED), (2, _HELD_OUT))
        )
        many = torch.linalg.svd(prompts / _SKETCHED**0.5, full_matrices=False)
        token = f"<concept{index}>"
        row = torch.randn(width, generator=torch.Generator().manual_seed(first + 3))
        all_inputs.append(
            MergeInputs(
                name=f"concept{index}",
                subjects=(Subject(class_noun="cat", token=token),),
                tokens={token: row},
                base_name="drawn",
                base_fingerprint=FINGERPRINT,
                constraint=values_of(update, draw_features(targets, width, first)),
                sketch=values_of(update, (many.S[:, None] * many.Vh)[:_SKETCH]),
                held_out=values_of(update, held_out),
            )
        )
    return all_inputs
