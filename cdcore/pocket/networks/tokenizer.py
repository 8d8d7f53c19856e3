"""The pocket tokenizer: CLIP's byte-level alphabet plus one token for each word of the world.

Any text can be spelled with the alphabet alone, so every lower-case word has an encoding; the words
of the world have one token each.
"""

from collections.abc import Iterable
from itertools import pairwise

from transformers import CLIPTokenizer

__all__ = ["MAX_TOKENS", "build_tokenizer"]

MAX_TOKENS = 40
"""Length of a padded prompt in tokens, start and end tokens included."""

_END_OF_WORD = "</w>"
_START, _END = "<|startoftext|>", "<|endoftext|>"


def build_tokenizer(words: Iterable[str]) -> CLIPTokenizer:
    """Build the tokenizer whose vocabulary is the byte alphabet and ``words``.

    Args:
        words: Lower-case words of a-z, each of which gets a token of its own.

    Returns:
        A tokenizer with `MAX_TOKENS` positions that pads with its end token, as Stable Diffusion 1
        does.
    """
    alphabet = _byte_alphabet()
    tokens = [*alphabet, *(character + _END_OF_WORD for character in alphabet)]
    merges: list[tuple[str, str]] = []
    # Shorter words first: a word's merges must not be pre-empted by a longer word's.
    for word in sorted(set(words), key=lambda word: (len(word), word)):
        _add_word(word, tokens, merges)
    vocabulary = {token: index for index, token in enumerate([*tokens, _START, _END])}
    return CLIPTokenizer(
        vocab=vocabulary,
        merges=merges,
        unk_token=_END,
        bos_token=_START,
        eos_token=_END,
        pad_token=_END,
        model_max_length=MAX_TOKENS,
    )


def _add_word(word: str, tokens: list[str], merges: list[tuple[str, str]]) -> None:
    pieces = _merged([*word[:-1], word[-1] + _END_OF_WORD], merges)
    while len(pieces) > 1:
        merges.append((pieces[-2], pieces[-1]))
        pieces[-2:] = [pieces[-2] + pieces[-1]]
        tokens.append(pieces[-1])


def _merged(pieces: list[str], merges: list[tuple[str, str]]) -> list[str]:
    ranks = {pair: rank for rank, pair in enumerate(merges)}
    while len(pieces) > 1:
        rank, at = min(
            (ranks.get((left, right), len(ranks)), index)
            for index, (left, right) in enumerate(pairwise(pieces))
        )
        if rank == len(ranks):
            break
        pieces = [*pieces[:at], pieces[at] + pieces[at + 1], *pieces[at + 2 :]]
    return pieces


def _byte_alphabet() -> list[str]:
    """Return the 256 printable stand-ins for bytes that byte-level BPE uses."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + index) for index in range(len(hidden))]
