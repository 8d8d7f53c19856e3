"""What each word of a caption says, given the words before it.

The text tower learns to say it at that word: "hat" stands for the hat of the second thing and its
colour, once "next to a cat with a red" has been read. Whoever draws from the text then finds
everything that belongs to one thing in one row.
"""

import random
import string
from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional
from transformers import CLIPTokenizer

from cdcore.pocket.scenes.caption import MARKS, words
from cdcore.pocket.scenes.scene import ACCESSORIES, COLORS, KINDS, PATTERNS, PLACES, STYLES

__all__ = ["ReadingKey", "facts", "with_odd_word"]

_NOTHING, _ODD = "nothing", "odd"
_KIND_ENDS = {kind.split()[-1]: kind for kind in KINDS}
_PATTERN_OF_MARK = {mark: pattern for pattern, mark in MARKS.items()}
_ENDS = {
    **{place.split()[-1]: ("place", place) for place in PLACES},
    **{style.split()[-1]: ("style", style) for style in STYLES if style != "plain"},
    **dict.fromkeys(("small", "far"), ("framing", "small")),
    **dict.fromkeys(("zoomed", "close"), ("framing", "zoom")),
    "next": ("relation", "next to"),
    "top": ("relation", "on top of"),
}
_KNOWN = frozenset(words())
_ROLES = ("thing", "pattern", *ACCESSORIES)
_ODD_LETTERS = (2, 5)
_CODE_SEED = 0


def facts(text: str) -> list[tuple[str, ...]]:
    """Say what each word of a caption says.

    Args:
        text: Words of a-z, joined by single spaces.

    Returns:
        For each word the role that it settles and the values, such as ("thing 0", "cat", "red") for
        the last word of "a red cat"; () for a word that says nothing, or not yet.
    """
    said: list[tuple[str, ...]] = []
    pending: list[str] = []
    number = 0
    for word in text.split():
        role: tuple[str, ...] = ()
        if word in COLORS or word in PATTERNS:
            pending.append(word)
        elif word in _KIND_ENDS:
            role = (f"thing {number}", _KIND_ENDS[word])
        elif word in _PATTERN_OF_MARK:
            role = (f"pattern {number}", _PATTERN_OF_MARK[word])
        elif word in ACCESSORIES:
            role = (f"{word} {number}",)
        if role:
            role, pending = (*role, *pending), []
        if word in _ENDS:
            role = _ENDS[word]
            number = 1 if role[0] == "relation" else number
        said.append(role)
    return said


def with_odd_word(text: str, rng: random.Random) -> str:
    """Put a random word that the world does not know before a random word of ``text``."""
    odd = "a"
    while odd in _KNOWN:
        odd = "".join(rng.choices(string.ascii_lowercase, k=rng.randint(*_ODD_LETTERS)))
    split = text.split()
    split.insert(rng.randint(0, max(0, len(split) - 1)), odd)
    return " ".join(split)


class ReadingKey:
    """The rows that a text tower should return for captions."""

    def __init__(self, tokenizer: CLIPTokenizer, width: int) -> None:
        """Draw a code of ``width`` for every role, value and token of an unknown word."""
        self._tokenizer = tokenizer
        self._special = frozenset(tokenizer.all_special_ids)
        self._spoken = {tokenizer.convert_tokens_to_ids(word + "</w>"): word for word in _KNOWN}
        roles = [f"{what} {number}" for number in (0, 1) for what in _ROLES]
        ends = [name for fact in _ENDS.values() for name in fact]
        names = dict.fromkeys([_NOTHING, _ODD, *roles, *KINDS, *COLORS, *PATTERNS, *ends])
        self._index = {name: position for position, name in enumerate(names)}
        generator = torch.Generator().manual_seed(_CODE_SEED)
        self._codes = torch.randn(len(self._index), width, generator=generator)
        self._letters = torch.randn(len(tokenizer), width, generator=generator)

    def rows(self, texts: list[str]) -> Tensor:
        """Return the wanted rows of ``texts``, (B, tokens, width) float32 of unit variance.

        A word's row is the sum of the codes of its role and values. Start, end, padding and words
        that say nothing have one code in common; a letter of a word that the world does not know
        says which letter it is.
        """
        rows = torch.stack([self._rows(text) for text in texts])
        return functional.layer_norm(rows, rows.shape[-1:])

    def _rows(self, text: str) -> Tensor:
        ids: list[int] = self._tokenizer(text, truncation=True).input_ids
        rows = self._sum([_NOTHING]).repeat(self._tokenizer.model_max_length, 1)
        spoken = [self._spoken.get(token) for token in ids]
        fact_of_word = iter(facts(" ".join(word for word in spoken if word)))
        for position, (token, word) in enumerate(zip(ids, spoken, strict=True)):
            if word is not None:
                if fact := next(fact_of_word):
                    rows[position] = self._sum(fact)
            elif token not in self._special:
                rows[position] = self._sum([_ODD]) + self._letters[token]
        return rows

    def _sum(self, names: Iterable[str]) -> Tensor:
        return self._codes[[self._index[name] for name in names]].sum(0)
