"""Names that every file system takes, and tokens as this project writes them.

A file named ``<new1>.bin`` cannot exist on Windows, nor can ``con.safetensors``. In A1111 and
ComfyUI the file's name is the word in the prompt, and A1111 replaces that word wherever it stands:
so an embedding is never named like a class noun.
"""

import re
from collections.abc import Collection

__all__ = ["file_stem", "token_stems", "valid_tokens"]

_RESERVED = {
    "aux",
    "con",
    "nul",
    "prn",
    *(f"{kind}{number}" for kind in ("com", "lpt") for number in range(10)),
}
"""Device names on Windows, with any suffix."""
_LONGEST = 80


def file_stem(name: str) -> str:
    """Return a file name without suffix: ASCII letters, digits, '-' and '_', and no device name."""
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-")[:_LONGEST] or "concept"
    return f"{stem}-concept" if stem.lower() in _RESERVED else stem


def token_stems(tokens: Collection[str], nouns: Collection[str] = ()) -> dict[str, str]:
    """Return the file name of each token's embedding, without suffix; all differ.

    Args:
        tokens: Such as ``<mycat>``.
        nouns: Class nouns, whose words no file may be named.
    """
    words = {word.lower() for noun in nouns for word in noun.split()}
    stems: dict[str, str] = {}
    for token in tokens:
        stem = file_stem(token.lower())
        stem = f"{stem}-token" if stem in words else stem
        stems[token] = _free(stem, set(stems.values()))
    return stems


def valid_tokens(names: Collection[str]) -> dict[str, str]:
    """Return the modifier token to use for each foreign token; all differ.

    Those that this project could not write in a prompt are changed as little as need be.
    """
    made: dict[str, str] = {}
    for name in names:
        word = re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-_") or "new"
        made[name] = f"<{_free(word, {token.strip('<>') for token in made.values()})}>"
    return made


def _free(name: str, taken: set[str]) -> str:
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}-{number}"
    return free
