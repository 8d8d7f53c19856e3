"""A concept with factors: as it is where it has them, compressed where it is dense."""

from dataclasses import replace

from cdcore.concepts.concept import Concept
from cdcore.concepts.low_rank import Compressed, compress
from cdcore.concepts.rank_rule import Rule
from cdcore.model.kv_layout import KVLayout
from cdcore.model.update import FactoredUpdate

__all__ = ["DEFAULT_RULE", "factored"]

DEFAULT_RULE = Rule(name="energy", value=0.95)
"""An error of at most 22 % in each matrix (the square root of what is left out)."""


def factored(
    concept: Concept, layout: KVLayout, rule: Rule | None = None
) -> tuple[Concept, Compressed | None]:
    """Return the concept in a form that LoRA-type formats hold exactly.

    Args:
        concept: In any form.
        layout: The layout of its base.
        rule: How far to compress; None leaves factors alone, and takes `DEFAULT_RULE` for a dense
            update.

    Returns:
        The concept, and what compression lost; None where nothing was.
    """
    if rule is None and isinstance(concept.update, FactoredUpdate):
        return concept, None
    made = compress(concept.update.to("cpu"), layout, rule or DEFAULT_RULE)
    return replace(concept, update=made.update), made
