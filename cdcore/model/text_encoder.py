"""Prompts to text features, by one text tower or by several that read the same tokens.

SDXL reads a prompt with two: their features stand side by side, and so do the two halves of a
modifier token's row. The second tower also pools the text, which the U-Net reads beside keys and
values.

B prompts, L tokens, d text width, p the width of pooled text.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from cdcore.model.modifier_tokens import MODIFIER_TOKEN_IN_PROMPT, check_prompt, check_word
from cdcore.model.text_tower import TextTower
from cdcore.model.unread_text import UnreadText, unread_text

__all__ = ["EncodedPrompts", "TextEncoder"]

_INNER = "@@"
"""After a piece of longer words, as Sennrich et al. 2016 write it (arXiv 1508.07909)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EncodedPrompts:
    """Token ids of prompts.

    Attributes:
        ids: (B, L) int64, padded as the first tower's tokenizer does.
        modifiers: (B, L) int64; the number of the modifier token at that position, or -1.
        lengths: (B,) int64; where the padding begins.
    """

    ids: Tensor
    modifiers: Tensor
    lengths: Tensor


class TextEncoder:
    """The frozen text towers of a base and their tokenizer; threads may share it."""

    def __init__(
        self, tokenizer: Any, model: nn.Module, second: tuple[Any, nn.Module] | None = None
    ) -> None:
        """Wrap a transformers ``CLIPTokenizer`` and ``CLIPTextModel``; the model is frozen.

        Args:
            tokenizer: The tokenizer.
            model: The text encoder.
            second: The second tokenizer, of the same words, and text encoder of an SDXL.
        """
        self.tokenizer = tokenizer
        pairs = [(tokenizer, model), *([second] if second is not None else [])]
        self.towers = tuple(
            TextTower(encoder, own.pad_token_id, is_penultimate=second is not None)
            for own, encoder in pairs
        )

    @property
    def models(self) -> tuple[nn.Module, ...]:
        """The text encoder of each tower."""
        return tuple(tower.model for tower in self.towers)

    @property
    def model(self) -> Any:
        """The first text encoder."""
        return self.towers[0].model

    @property
    def embedding_table(self) -> Tensor:
        """The token table of the first tower, (vocabulary, width)."""
        return self.towers[0].embedding_table

    @property
    def embedding_tables(self) -> tuple[Tensor, ...]:
        """The token table of each tower, (vocabulary, width)."""
        return tuple(tower.embedding_table for tower in self.towers)

    @property
    def widths(self) -> tuple[int, ...]:
        """The width of each tower; they sum to d, the length of a token's row."""
        return tuple(table.shape[1] for table in self.embedding_tables)

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
        return self.read(prompts, embeddings)[0]

    def read(
        self, prompts: Sequence[str], embeddings: Mapping[str, Tensor] | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Return the text features of prompts and their pooled text; arguments as for `encode`.

        Returns:
            (B, L, d), and (B, p) or None where the base pools no text.

        Raises:
            TokenError: A prompt names a modifier token that has no row.
        """
        embeddings = embeddings or {}
        encoded = self.tokenize(prompts, list(embeddings))
        return self._read(encoded, list(embeddings.values()))

    def features(self, encoded: EncodedPrompts, rows: Sequence[Tensor]) -> Tensor:
        """Return the features (B, L, d) of tokenized prompts whose modifier tokens are ``rows``."""
        return self._read(encoded, rows)[0]

    def _read(
        self, encoded: EncodedPrompts, rows: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor | None]:
        if len(self.towers) == 1:
            return self.towers[0].read(encoded.ids, encoded.modifiers, rows)
        halves = [row.split(self.widths) for row in rows]
        is_padding = torch.arange(encoded.ids.shape[1]) >= encoded.lengths[:, None]
        parts = [
            tower.read(
                encoded.ids.masked_fill(is_padding, tower.pad_token_id),
                encoded.modifiers,
                [half[number] for half in halves],
            )
            for number, tower in enumerate(self.towers)
        ]
        return torch.cat([features for features, _ in parts], dim=-1), parts[-1][1]

    def tokenize(self, prompts: Sequence[str], tokens: Sequence[str]) -> EncodedPrompts:
        """Tokenize prompts in which the modifier ``tokens`` may stand.

        Raises:
            TokenError: A prompt names another modifier token.
        """
        lines = [self._line(prompt, tokens) for prompt in prompts]
        filled = [
            line + [(self.tokenizer.pad_token_id, -1)] * (self.max_tokens - len(line))
            for line in lines
        ]
        return EncodedPrompts(
            ids=torch.tensor([[id_ for id_, _ in line] for line in filled]),
            modifiers=torch.tensor([[number for _, number in line] for line in filled]),
            lengths=torch.tensor([len(line) for line in lines]),
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
        rows = [table[chosen].detach().float() for table in self.embedding_tables]
        return torch.cat(rows)

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
        return [start, *line[: self.max_tokens - 2], end]
