"""What prompts of other programs say beside words, which here would be read as plain text.

A1111, ComfyUI, InvokeAI and compel read weights, files and emphasis in a prompt: ``(cat:1.3)``,
``<lora:cat:1>``, ``[cat]``, ``embedding:cat``, ``cat++``. Here a prompt is words and modifier
tokens, and a concept's weight is given with the concept. Only what hardly anybody writes as plain
text is recognised.
"""

import re

from cdcore.model.modifier_tokens import MODIFIER_TOKEN_IN_PROMPT

__all__ = ["foreign_syntax"]

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)"
_TOKEN = MODIFIER_TOKEN_IN_PROMPT.pattern.strip("()")

_ROUND, _CORNERED = r"(?<!\()\(+", r"(?<![\[{])[\[{]+"
"""A run of opening brackets, looked for at its beginning only: else a long one would take long."""

_KINDS: tuple[tuple[str, str], ...] = (
    ("a file to load", r"<\s*(?:lora|lyco|lycoris|hypernet|embedding|ti)\s*:[^<>]*>"),
    ("a file to load", r"\bembedding:[^\s,()]+"),
    # A time of day or a ratio in brackets is no weight.
    ("a weight", rf"{_ROUND}[^()]*[^()\d\s]\s*:\s*{_NUMBER}\s*\)+"),
    ("a weight", rf"<[^<>:]+:\s*{_NUMBER}\s*>"),
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


def foreign_syntax(prompt: str, remedy: str) -> list[str]:
    """Return one line for each thing in a prompt that other programs read and this one does not.

    Args:
        prompt: Any text.
        remedy: How a concept and its weight are given here, as the end of a sentence.
    """
    lines = []
    for match in _FOREIGN.finditer(prompt[:_MOST_READ]):
        assert match.lastgroup is not None
        meaning, _ = _KINDS[int(match.lastgroup.removeprefix("kind"))]
        elsewhere = meaning if meaning.startswith("no ") else f"{meaning} in other programs"
        found = match[0] if len(match[0]) <= _SHOWN else f"{match[0][:_SHOWN]}..."
        lines.append(
            f"{found!r} is {elsewhere}, but plain text here: write the words alone, and {remedy}"
        )
    return list(dict.fromkeys(lines))
