"""A text tower: one frozen CLIP text encoder, with modifier tokens entering as embedding rows.

Where a prompt has a modifier token the ids keep an existing one and the embedding row of that
position is replaced: so the token table is never grown or trained, and where the features are
pooled does not change.

B prompts, L tokens, d the tower's width, p the width of its pooled text.
"""

from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any, cast

import torch
from torch import Tensor, nn

__all__ = ["TextTower"]

# Every thread has its own, so that a server may encode the prompts of several clients at once.
_replacement: ContextVar[tuple[Tensor, Sequence[Tensor]] | None] = ContextVar(
    "replacement", default=None
)


class TextTower:
    """A frozen text encoder; threads may share it."""

    def __init__(self, model: nn.Module, pad_token_id: int, *, is_penultimate: bool) -> None:
        """Wrap a transformers ``CLIPTextModel`` or ``CLIPTextModelWithProjection``; it is frozen.

        Args:
            model: The text encoder.
            pad_token_id: What its tokenizer fills a prompt up with.
            is_penultimate: Whether its features are what comes out of the last layer but one,
                without the final normalisation, as SDXL reads them (Podell et al. 2023, arXiv
                2307.01952, section 2.1).
        """
        self.model = cast(Any, model.eval().requires_grad_(False))
        self.pad_token_id = pad_token_id
        self._is_penultimate = is_penultimate
        self.model.get_input_embeddings().register_forward_hook(_replace_rows)

    @property
    def embedding_table(self) -> Tensor:
        """The token table, (vocabulary, d)."""
        table: Tensor = self.model.get_input_embeddings().weight
        return table

    def read(
        self, ids: Tensor, modifiers: Tensor, rows: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor | None]:
        """Return the features of tokenized prompts and, of a tower with a projection, pooled text.

        Args:
            ids: (B, L) int64.
            modifiers: (B, L) int64; the number of the row at that position, or -1.
            rows: The row (d,) of each modifier token. Gradients flow back to them.

        Returns:
            Features (B, L, d), and (B, p) or None.
        """
        device = self.embedding_table.device
        chosen = _replacement.set((modifiers.to(device), rows) if rows else None)
        try:
            if not self._is_penultimate:
                last: Tensor = self.model(input_ids=ids.to(device)).last_hidden_state
                return last, None
            output = self.model(input_ids=ids.to(device), output_hidden_states=True)
        finally:
            _replacement.reset(chosen)
        return output.hidden_states[-2], getattr(output, "text_embeds", None)


def _replace_rows(_: nn.Module, __: tuple[Any, ...], embedded: Tensor) -> Tensor:
    replacement = _replacement.get()
    if replacement is None:
        return embedded
    modifiers, rows = replacement
    table = torch.stack(list(rows)).to(embedded)
    chosen = table[modifiers.clamp(min=0)]
    return torch.where((modifiers >= 0).unsqueeze(-1), chosen, embedded)
