"""Modifier tokens in prompts: how ``<name>`` is written, found and left out."""

import re
from collections.abc import Sequence

from cdcore.errors import TokenError

__all__ = [
    "MODIFIER_TOKEN_IN_PROMPT",
    "check_modifier_token",
    "check_prompt",
    "check_word",
    "modifier_tokens",
    "without_modifier_tokens",
]

_MAX_NOUN_TOKENS = 8
_MODIFIER_TOKEN = re.compile(r"<[a-z0-9][a-z0-9_-]*>")


MODIFIER_TOKEN_IN_PROMPT = re.compile(f"({_MODIFIER_TOKEN.pattern})", re.IGNORECASE)
"""Modifier tokens as prompts may write them; one group, so that a split keeps them."""


def check_modifier_token(token: str) -> None:
    """Refuse a modifier token that prompts could not name.

    Raises:
        TokenError: The token is not of the form ``<name>``.
    """
    if not _MODIFIER_TOKEN.fullmatch(token):
        raise TokenError(
            f"modifier token {token!r}: expected lower-case letters, digits, '-' or '_' in angle "
            "brackets, such as <mycat>"
        )


def check_word(word: str, ids: Sequence[int]) -> None:
    """Refuse a word or phrase that no concept could be taught by.

    Args:
        word: What the user gave.
        ids: What the base's tokenizer makes of it, without start and end tokens.

    Raises:
        TokenError: The tokenizer has nothing for it, or splits it into too many tokens.
    """
    if not ids or "<" in word or ">" in word:
        raise TokenError(f"{word!r} is no word; give a noun such as 'cat' or 'wooden pot'")
    if len(ids) > _MAX_NOUN_TOKENS:
        raise TokenError(
            f"{word!r} takes {len(ids)} tokens of this base's vocabulary, at most "
            f"{_MAX_NOUN_TOKENS} are of use; give a shorter or more common noun"
        )


def check_prompt(prompt: str, tokens: Sequence[str]) -> None:
    """Refuse a prompt that names a modifier token which is not among ``tokens``.

    Raises:
        TokenError: The prompt names another.
    """
    unknown = set(modifier_tokens(prompt)) - set(tokens)
    if unknown:
        known = ", ".join(tokens) or "none"
        raise TokenError(
            f"prompt {prompt!r} names {', '.join(sorted(unknown))}, which no concept in use "
            f"has; known modifier tokens: {known}"
        )


def modifier_tokens(prompt: str) -> tuple[str, ...]:
    """Return the modifier tokens that ``prompt`` names, in order, in lower case.

    Case does not matter in a prompt, as it does not to the tokenizer.
    """
    return tuple(found.lower() for found in MODIFIER_TOKEN_IN_PROMPT.findall(prompt))


def without_modifier_tokens(prompt: str) -> str:
    """Return ``prompt`` as a text that a reader without the concept understands, to score by."""
    return " ".join(MODIFIER_TOKEN_IN_PROMPT.sub("", prompt).split())
