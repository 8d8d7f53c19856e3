"""Modifier tokens in prompts: how ``<name>`` is written, found and left out."""

import re

from cdcore.errors import TokenError

__all__ = [
    "MODIFIER_TOKEN_IN_PROMPT",
    "check_modifier_token",
    "modifier_tokens",
    "without_modifier_tokens",
]

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


def modifier_tokens(prompt: str) -> tuple[str, ...]:
    """Return the modifier tokens that ``prompt`` names, in order, in lower case.

    Case does not matter in a prompt, as it does not to the tokenizer.
    """
    return tuple(found.lower() for found in MODIFIER_TOKEN_IN_PROMPT.findall(prompt))


def without_modifier_tokens(prompt: str) -> str:
    """Return ``prompt`` as a text that a reader without the concept understands, to score by."""
    return " ".join(MODIFIER_TOKEN_IN_PROMPT.sub("", prompt).split())
