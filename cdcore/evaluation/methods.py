"""The words of an evaluation: sections, methods, and the parts of each."""

from typing import Literal, get_args

__all__ = ["ALL_METHODS", "METHODS", "Method", "Part", "Section"]

Section = Literal["single", "pair"]
"""The two lists of a set."""

Method = Literal["base", "single", "joint", "constrained", "ridge", "sum", "masked"]
"""What makes the pictures: the base, one concept, two trained together, or a mix of two."""

Part = Literal["prompts", "plain", "captions"]
"""Which prompts of an entry a cell samples: its own, those without tokens, or plain captions."""

ALL_METHODS: tuple[Method, ...] = get_args(Method)
"""Every method, in the order of the tables."""

METHODS: dict[Section, tuple[Method, ...]] = {
    "single": ("base", "single"),
    "pair": tuple(method for method in ALL_METHODS if method != "single"),
}
"""What there is to compare; the base is always among them, because drift is from its pictures."""
