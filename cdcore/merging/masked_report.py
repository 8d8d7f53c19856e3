"""The report of a masked sum: what its masks leave out of each concept."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from cdcore.merging.report import ConceptError, MergeReport

if TYPE_CHECKING:
    from cdcore.model.base import Base
from cdcore.concepts.masked_sum import MaskedSum, own_positions

__all__ = ["masked_report"]


@torch.no_grad()
def masked_report(
    base: "Base",
    masked: MaskedSum,
    tokens: Mapping[str, Tensor],
    concepts: Sequence[tuple[str, float]],
) -> MergeReport:
    """Measure what the masks leave out of each concept's target prompts.

    Args:
        base: The base of the concepts.
        masked: On the CPU.
        tokens: The rows of all modifier tokens.
        concepts: Name and weight of the concept that each part is of.

    Returns:
        The report: no drift, and for each concept the share of its own effect, from its first word
        to the end of its target prompts, that is missing.
    """
    encoder = base.text_encoder
    errors = []
    for part, (name, weight) in zip(masked.parts, concepts, strict=True):
        missed = wanted = 0.0
        for prompt in [text for subject in part.subjects for text in subject.target_prompts]:
            own = own_positions(encoder, prompt, list(tokens), part.subjects)
            first, end = int(own.argmax()), int(own.nonzero().max()) + 1
            rows = encoder.encode([prompt], tokens).float().cpu()[0, first : end + 1]
            alone = part.update.apply(rows)
            wanted += float(alone.square().sum())
            missed += float(((1 - own[first : end + 1, None]) * alone).square().sum())
        errors.append(
            ConceptError(
                name=name,
                weight=weight,
                phrases=tuple(subject.phrase for subject in part.subjects),
                constraint=math.sqrt(missed / wanted) if wanted > 0 else 0.0,
                held_out=None,
                drift_alone=None,
            )
        )
    return MergeReport(method="masked", concepts=tuple(errors), drift=0.0)
