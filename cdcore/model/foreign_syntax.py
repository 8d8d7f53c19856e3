"""What prompts of other programs say beside words, which here would be read as plain text.

A1111, ComfyUI, InvokeAI and compel read weights, files and emphasis in a prompt: ``(cat:1.3)``,
``<lora:cat:1>``, ``[cat]``, ``embedding:cat``, ``cat++``. Web pages and addresses write a token as
``&lt;mycat&gt;`` or ``%3Cmycat%3E``. Here a prompt is words and modifier tokens, and a concept's
weight is given with the concept. Only what hardly anybody writes as plain text is recognised.
"""

import re

from cdcore.model.modifier_tokens import MODIFIER_TOKEN_IN_PROMPT

__all__ = ["foreign_syntax"]

_FRACTION = r"[+-]?\d*[.,]\d+"
_NUMBER = rf"(?:{_FRACTION}|[+-]?\d+\.?)"
"""With the point or the comma that people write in numbers."""
_TOKEN = MODIFIER_TOKEN_IN_PROMPT.pattern.strip("()")

_ROUND, _CORNERED = r"(?<!\()\(+", r"(?<![\[{])[\[{]+"
"""A run of opening brackets, looked for at its beginning only: else a long one would take long."""

_KINDS: tuple[tuple[str, str], ...] = (
    ("a file to load", r"<\s*(?:lora|lyco|lycoris|hypernet|embedding|ti)\s*:[^<>]*>"),
    ("a file to load", r"\bembedding:[^\s,()]+"),
    # A time of day or a ratio in brackets is no weight.
    ("a weight", rf"{_ROUND}[^()]*[^()\d\s]\s*:\s*{_NUMBER}\s*\)+"),
    ("a weight", rf"<[^<>:]+:\s*{_NUMBER}\s*>"),
    # With a blank, a whole number after a colon may count things.
    ("a weight", rf"(?:{_TOKEN}|\([^()]*\))(?::{_NUMBER}|\s*:\s*{_FRACTION})(?!\w)"),
    ("a weight", rf"(?:[^\W\d_]|>|\))::\s*{_NUMBER}(?!\w)"),
    ("a weight", rf"(?:{_TOKEN}|\([^()]*\))(?:\+{{1,5}}|-{{2,5}}|{_NUMBER})(?![\w-])"),
    ("a change while it is drawn", rf"\[[^\[\]]*[^\[\]\d\s]\s*:\s*{_NUMBER}\s*\]"),
    ("emphasis", rf"{_ROUND}\s*{_TOKEN}\s*\)+"),
    ("emphasis", r"(?<!\()\(\(+[^()]+\)\)+"),
    ("emphasis", rf"{_CORNERED}[^\[\]{{}}]*{_TOKEN}[^\[\]{{}}]*[\]}}]+"),
    ("emphasis", r"(?<!\[)\[\[+[^\[\]]+\]\]+|(?<!\{)\{\{+[^{}]+\}\}+"),
    ("no name of a concept", rf"<(?!/)(?!{_TOKEN[1:]})\s*[^\W\d_]{{2}}[^<>]*>"),
)
"""What each kind is elsewhere, and how it is written; the first that matches counts."""

_MOST_READ = 4000
"""Characters of a prompt that are looked at: no encoder reads as many."""
_SHOWN = 60
"""Characters of what was found, in a line."""

_FOREIGN = re.compile(
    "|".join(f"(?P<kind{number}>{pattern})" for number, (_, pattern) in enumerate(_KINDS)),
    re.IGNORECASE,
)
_ESCAPED = re.compile(
    r"(?:&(?:amp;)*(?:lt|#0*60|#x0*3c);|%(?:25)*3c|[\uff1c\u27e8])"
    r"\s*(?P<name>[a-z0-9][a-z0-9_-]+|(?<!\s)[a-z0-9](?!\s))\s*"
    r"(?:&(?:amp;)*(?:gt|#0*62|#x0*3e);|%(?:25)*3e|[\uff1e\u27e9])",
    re.IGNORECASE,
)
"""A modifier token with other brackets than its own, as a page, an address or a keyboard has it."""


def foreign_syntax(prompt: str, remedy: str) -> list[str]:
    """Return one line for each thing in a prompt that other programs read and this one does not.

    Args:
        prompt: Any text.
        remedy: How a concept and its weight are given here, as the end of a sentence.
    """
    lines = [
        f"{match[0]!r} is no name of a concept, but plain text here: write <{match['name']}>"
        for match in _ESCAPED.finditer(prompt[:_MOST_READ])
    ]
    for match in _FOREIGN.finditer(prompt[:_MOST_READ]):
        assert match.lastgroup is not None
        meaning, _ = _KINDS[int(match.lastgroup.removeprefix("kind"))]
        elsewhere = meaning if meaning.startswith("no ") else f"{meaning} in other programs"
        found = match[0] if len(match[0]) <= _SHOWN else f"{match[0][:_SHOWN]}..."
        lines.append(
            f"{found!r} is {elsewhere}, but plain text here: write the words alone, and {remedy}"
        )
    return list(dict.fromkeys(lines))
