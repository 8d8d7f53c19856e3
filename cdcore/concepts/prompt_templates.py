"""Prompts of a concept: it in many places and styles, some for its sketch, others held out."""

import random
from dataclasses import dataclass

__all__ = ["ConceptPrompts", "concept_prompts"]

_REAL_OPENINGS = ("a {}", "photo of a {}", "a picture of a {}", "the {}", "a close up of a {}")


_REAL_CONTEXTS = (
    *("on the beach", "in the snow", "at night", "in a forest", "in a room", "on the street"),
    *("next to a tree", "on a wooden table", "in the rain", "with a red hat", "in the city"),
    *("wearing sunglasses", "at sunset", "on a white background", "in the kitchen", "in a car"),
)


_REAL_WHOLE = (
    *("a painting of a {} in the style of van gogh", "a watercolor of a {}", "a sketch of a {}"),
    *("a very small photo of a {}", "a zoomed in photo of a {}", "a {} and a dog", "my {}"),
    *("a {} made of gold", "a photo of a {}, studio lighting", "a far away {} on a hill"),
)


_REAL_HELD_OUT = (
    *("a {} under water", "a photo of a {} in front of the eiffel tower", "a {} in a garden"),
    *("a {} on top of a mountain", "an oil painting of a {} by the sea", "a {} next to a horse"),
    *("a small {} on the grass", "a {} with a blue house in the background"),
    *("a black and white photo of a {}", "two people and a {}", "a {} in space", "a {} at a party"),
)


_POCKET_OPENINGS = ("a {}", "photo of a {}", "a photo of a {}", "zoomed in photo of a {}")


_POCKET_CONTEXTS = (
    *("on the grass", "on the beach", "in the snow", "at night", "in a room"),
    *("next to a red table", "with a green hat", "next to a white dog on the beach"),
)


_POCKET_WHOLE = (
    *("a watercolor of a {} in the snow", "a pencil sketch of a {}", "very small photo of a {}"),
    *("a {} on top of a blue table", "a {} wearing a scarf at night", "a far away {} on the grass"),
)


_POCKET_HELD_OUT = (
    *("a {} in the forest", "photo of a {} in the forest", "a {} next to a yellow flower"),
    *("a pencil sketch of a {} on the beach", "a watercolor of a {} at night", "a close up {}"),
    *("a {} with a purple collar in a room", "very small {} in the snow", "a red {} on the grass"),
    *("a {} next to a chair at night", "a {} on top of a barn", "a picture of a {} in a room"),
)


_SKETCH_PROMPTS = 48


@dataclass(frozen=True, kw_only=True, slots=True)
class ConceptPrompts:
    """Templates with "{}" for a concept's phrase.

    Attributes:
        sketch: What its sketch is drawn from.
        held_out: What the error of a merge is measured on.
    """

    sketch: tuple[str, ...]
    held_out: tuple[str, ...]


def concept_prompts(*, pocket: bool) -> ConceptPrompts:
    """Return the templates that describe any concept, always the same ones."""
    openings: tuple[str, ...] = _POCKET_OPENINGS if pocket else _REAL_OPENINGS
    contexts: tuple[str, ...] = _POCKET_CONTEXTS if pocket else _REAL_CONTEXTS
    whole: tuple[str, ...] = _POCKET_WHOLE if pocket else _REAL_WHOLE
    held_out: tuple[str, ...] = _POCKET_HELD_OUT if pocket else _REAL_HELD_OUT
    crossed = [f"{opening} {context}" for context in contexts for opening in openings]
    chosen = random.Random("sketch").sample(
        crossed, min(_SKETCH_PROMPTS - len(whole), len(crossed))
    )
    return ConceptPrompts(sketch=(*whole, *chosen), held_out=held_out)
