"""Which rows of a prompt's text features count in a merge, and how much.

A padded prompt has three kinds of rows: the start token, the same in every prompt, because the text
encoder is causal; its words and the end token; and padding, which the U-Net reads like any other
row. A word row counts 1. Rows are returned scaled by the root of their weight, so that
``rows.T @ rows`` is the weighted second moment.

B prompts, L tokens, d text width.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cdcore.model.text_encoder import EncodedPrompts, TextEncoder

__all__ = ["PromptRows", "RowWeights", "prompt_rows"]


@dataclass(frozen=True, kw_only=True, slots=True)
class RowWeights:
    """Weights of the rows that are no words.

    Attributes:
        start: The weight of the start token.
        padding: Weight of all padding rows of a prompt, for each of its word rows: at 1 padding
            counts as much as words.
    """

    start: float = 0.0
    padding: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PromptRows:
    """Rows that count.

    Attributes:
        rows: (n, d), scaled by the root of their weight; float32 on the CPU, prompt by prompt.
        weight: Sum of the weights.
        words: How many of the rows are words or end tokens.
    """

    rows: Tensor
    weight: float
    words: int


@torch.no_grad()
def prompt_rows(
    encoder: TextEncoder,
    prompts: Sequence[str],
    tokens: Mapping[str, Tensor] | None = None,
    *,
    before: Sequence[str] | None = None,
    weights: RowWeights | None = None,
) -> PromptRows:
    """Return the rows of prompts that count.

    Args:
        encoder: The base's text encoder.
        prompts: B texts.
        tokens: The embedding row (d,) of each modifier token.
        before: The beginning of each prompt, whose rows do not count; without modifier tokens.
            None counts all words.
        weights: The weights of rows that are no words; None counts words only.

    Raises:
        TokenError: A prompt names a modifier token that has no row.
    """
    weights = weights or RowWeights()
    tokens = tokens or {}
    encoded = encoder.tokenize(prompts, list(tokens))
    features = encoder.features(encoded, list(tokens.values())).float().cpu()
    end = _ends(encoder, encoded)[:, None]
    # What is not counted ends where the first counted token begins.
    first = torch.ones_like(end) if before is None else _ends(encoder, encoder.tokenize(before, []))
    position = torch.arange(features.shape[1])
    words = (position >= first.view(-1, 1)) & (position <= end)
    padding = position > end
    weight = words.float()
    share = words.sum(dim=1, keepdim=True) / padding.sum(dim=1, keepdim=True).clamp(min=1)
    weight += padding * (weights.padding * share)
    weight[:, 0] += weights.start
    counted = weight > 0
    rows = features[counted] * weight[counted].sqrt()[:, None]
    return PromptRows(rows=rows, weight=float(weight.sum()), words=int(words.sum()))


def _ends(encoder: TextEncoder, encoded: EncodedPrompts) -> Tensor:
    """Return the position (B,) of each prompt's end token."""
    # The padding token may be the end token: the first one ends the prompt.
    is_end: Tensor = encoded.ids == encoder.tokenizer.eos_token_id
    return is_end.int().argmax(dim=1)
