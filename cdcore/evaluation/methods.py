"""The words of an evaluation: sections, methods, and the parts of each."""

from typing import Literal

__all__ = ["METHODS", "Method", "Part", "Section"]

Section = Literal["single", "pair"]
"""The two lists of a set."""


Method = Literal["base", "single", "joint", "constrained", "ridge", "sum", "masked"]


Part = Literal["prompts", "plain", "captions"]


METHODS: dict[Section, tuple[Method, ...]] = {
    "single": ("base", "single"),
    "pair": ("base", "joint", "constrained", "ridge", "sum", "masked"),
}
"""What there is to compare; the base is always among them, because drift is from its pictures."""


MethodName = Literal["base", "single", "joint", "constrained", "ridge", "sum", "masked"]
