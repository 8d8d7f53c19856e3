"""Prompts to text features, with modifier tokens entering as embedding rows.

A modifier token (``<mycat>``) is in no vocabulary. Where a prompt has one, the ids keep an existing
token and the embedding row of that position is replaced: so the token table is never grown or
trained, and where the features are pooled does not change.

B prompts, L tokens, d text width.
"""

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from cdcore.model.modifier_tokens import MODIFIER_TOKEN_IN_PROMPT, check_prompt, check_word
from cdcore.model.unread_text import UnreadText, unread_text

__all__ = ["EncodedPrompts", "TextEncoder"]

_INNER = "@@"
"""After a piece of longer words, as Sennrich et al. 2016 write it (arXiv 1508.07909)."""

# Every thread has its own, so that a server may encode the prompts of several clients at once.
_replacement: ContextVar[tuple[Tensor, Sequence[Tensor]] | None] = ContextVar(
    "replacement", default=None
)


@dataclass(frozen=True, kw_only=True, slots=True)
class EncodedPrompts:
    """Token ids of prompts.

    Attributes:
        ids: (B, L) int64, padded.
        modifiers: (B, L) int64; the number of the modifier token at that position, or -1.
    """

    ids: Tensor
    modifiers: Tensor


class TextEncoder:
    """A frozen CLIP text encoder and its tokenizer; threads may share it."""

    def __init__(self, tokenizer: Any, model: nn.Module) -> None:
        """Wrap a transformers ``CLIPTokenizer`` and ``CLIPTextModel``; the model is frozen."""
        self.tokenizer = tokenizer
        self.model = cast(Any, model.eval().requires_grad_(False))
        self.model.get_input_embeddings().register_forward_hook(_replace_rows)

    @property
    def embedding_table(self) -> Tensor:
        """The token table, (vocabulary, d)."""
        table: Tensor = self.model.get_input_embeddings().weight
        return table

    @property
    def max_tokens(self) -> int:
        """L, start and end tokens included."""
        return int(self.tokenizer.model_max_length)

    def encode(
        self, prompts: Sequence[str], embeddings: Mapping[str, Tensor] | None = None
    ) -> Tensor:
        """Return the text features of prompts.

        Args:
            prompts: Any texts; what passes L tokens is cut off, and `unread` says what.
            embeddings: The row (d,) of each modifier token. Gradients flow back to them.

        Returns:
            (B, L, d).

        Raises:
            TokenError: A prompt names a modifier token that has no row.
        """
        embeddings = embeddings or {}
        encoded = self.tokenize(prompts, list(embeddings))
        return self.features(encoded, list(embeddings.values()))

    def features(self, encoded: EncodedPrompts, rows: Sequence[Tensor]) -> Tensor:
        """Return the features (B, L, d) of tokenized prompts whose modifier tokens are ``rows``."""
        device = self.embedding_table.device
        chosen = _replacement.set((encoded.modifiers.to(device), rows) if rows else None)
        try:
            output: Tensor = self.model(input_ids=encoded.ids.to(device)).last_hidden_state
        finally:
            _replacement.reset(chosen)
        return output

    def tokenize(self, prompts: Sequence[str], tokens: Sequence[str]) -> EncodedPrompts:
        """Tokenize prompts in which the modifier ``tokens`` may stand.

        Raises:
            TokenError: A prompt names another modifier token.
        """
        lines = [self._line(prompt, tokens) for prompt in prompts]
        return EncodedPrompts(
            ids=torch.tensor([[id_ for id_, _ in line] for line in lines]),
            modifiers=torch.tensor([[number for _, number in line] for line in lines]),
        )

    def unread(self, prompt: str) -> UnreadText | None:
        """Return what passes L tokens of a prompt and is cut off, or None where all is read."""
        return unread_text(prompt, self.max_tokens - 2, self._ends)

    def word_ids(self, word: str) -> list[int]:
        """Return the token ids of a word or phrase, without start and end tokens.

        Raises:
            TokenError: The tokenizer has nothing for it, or splits it into too many tokens.
        """
        ids: list[int] = self.tokenizer(word, add_special_tokens=False).input_ids
        check_word(word, ids)
        return ids

    def initial_embedding(self, word: str) -> Tensor:
        """Return a copy of the row (d,) of ``word``, in float32.

        It is the row of the word's token, and of several tokens that of the last. A word that the
        vocabulary has only inside of longer ones, such as ``ktn`` in CLIP's, has the row of that
        piece; ``pll@@`` asks for the piece where the vocabulary has the word as well.

        Raises:
            TokenError: As for `word_ids`.
        """
        spelled = word.removesuffix(_INNER)
        ids = self.word_ids(spelled)
        piece = self.tokenizer.convert_tokens_to_ids(spelled.lower())
        is_asked_for = len(ids) > 1 or spelled != word
        is_known = piece is not None and piece != self.tokenizer.unk_token_id
        chosen = piece if is_asked_for and is_known else ids[-1]
        return self.embedding_table[chosen].detach().float().clone()

    def _ends(self, piece: str) -> list[int]:
        """Return where each token of a text without modifier tokens ends, in characters."""
        spans = self.tokenizer(piece, add_special_tokens=False, return_offsets_mapping=True)
        return [end for _, end in spans.offset_mapping]

    def _line(self, prompt: str, tokens: Sequence[str]) -> list[tuple[int, int]]:
        check_prompt(prompt, tokens)
        line: list[tuple[int, int]] = []
        for piece in MODIFIER_TOKEN_IN_PROMPT.split(prompt):
            if piece.lower() in tokens:
                # Any ordinary token will do: its row is replaced.
                line.append((self.tokenizer.bos_token_id, tokens.index(piece.lower())))
            elif piece:
                ids = self.tokenizer(piece, add_special_tokens=False).input_ids
                line += [(id_, -1) for id_ in ids]
        start, end = (self.tokenizer.bos_token_id, -1), (self.tokenizer.eos_token_id, -1)
        line = [start, *line[: self.max_tokens - 2], end]
        return line + [(self.tokenizer.pad_token_id, -1)] * (self.max_tokens - len(line))


def _replace_rows(_: nn.Module, __: tuple[Any, ...], embedded: Tensor) -> Tensor:
    replacement = _replacement.get()
    if replacement is None:
        return embedded
    modifiers, rows = replacement
    table = torch.stack(list(rows)).to(embedded)
    chosen = table[modifiers.clamp(min=0)]
    return torch.where((modifiers >= 0).unsqueeze(-1), chosen, embedded)
