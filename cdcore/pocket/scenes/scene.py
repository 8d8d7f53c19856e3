"""A scene of the pocket world: one or two things, a place, a style and a framing."""

import random
from dataclasses import dataclass

from cdcore.pocket.scenes.held_out import HELD_OUT_LOOKS
from cdcore.pocket.scenes.thing import (
    ACCESSORIES,
    COLORS,
    DETAILS,
    HAT_KINDS,
    KINDS,
    NECK_KINDS,
    PATTERNS,
    WEARABLE,
    Thing,
)

__all__ = [
    "ACCESSORIES",
    "BASES",
    "COLORS",
    "DETAILS",
    "FRAMINGS",
    "HAT_KINDS",
    "KINDS",
    "NECK_KINDS",
    "PATTERNS",
    "PLACES",
    "RELATIONS",
    "STYLES",
    "TOPPERS",
    "WEARABLE",
    "Scene",
    "Thing",
    "sample_scene",
    "sample_thing",
]

PLACES = (
    "on the grass",
    "on the beach",
    "in the snow",
    "at night",
    "in a room",
    "in the forest",
)
STYLES = ("plain", "watercolor", "pencil sketch")
FRAMINGS = ("normal", "small", "zoom")
RELATIONS = ("next to", "on top of")
BASES = ("table", "chair", "wooden pot", "barn", "moon gate", "tortoise")
"""The kinds that something can stand on."""
TOPPERS = ("cat", "dog", "teddy bear", "tortoise", "wooden pot", "flower", "person", "chair")
"""The kinds that can stand on something."""

_PAIR_SHARE = 0.4
_TOP_SHARE = 0.4
_STYLE_SHARE = 0.1
_FRAMING_SHARE = 0.05
_PATTERN_WEIGHTS = (0.66, 0.19, 0.15)
_HAT_SHARE = 0.2
_NECKWEAR_SHARE = 0.2


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """What a picture shows.

    Attributes:
        things: One or two things; in a relation the first stands left of, or on, the second.
        relation: None for one thing, else one of `RELATIONS`.
        place: One of `PLACES`.
        style: One of `STYLES`.
        framing: One of `FRAMINGS`; pairs are always framed "normal".

    Raises:
        ValueError: If the combination is not a valid one.
    """

    things: tuple[Thing, ...]
    place: str
    relation: str | None = None
    style: str = "plain"
    framing: str = "normal"

    def __post_init__(self) -> None:
        """Refuses invalid combinations."""
        if len(self.things) not in (1, 2):
            raise ValueError(f"a scene has one or two things, not {len(self.things)}")
        for value, allowed, what in (
            (self.place, PLACES, "place"),
            (self.style, STYLES, "style"),
            (self.framing, FRAMINGS, "framing"),
        ):
            if value not in allowed:
                raise ValueError(f"unknown {what} {value!r}, expected one of {allowed}")
        if len(self.things) == 1 and self.relation is not None:
            raise ValueError("one thing alone has no relation")
        if len(self.things) == 2:
            self._check_pair()

    def _check_pair(self) -> None:
        if self.relation not in RELATIONS:
            raise ValueError(f"two things need a relation out of {RELATIONS}")
        if self.framing != "normal":
            raise ValueError("two things are always framed normal")
        top, base = self.things
        if self.relation == "on top of":
            if base.kind not in BASES:
                raise ValueError(f"nothing can stand on a {base.kind}")
            if top.kind not in TOPPERS:
                raise ValueError(f"a {top.kind} cannot stand on anything")
            if base.hat is not None:
                raise ValueError("what carries a thing cannot wear a hat")


def sample_thing(
    rng: random.Random, *, kinds: tuple[str, ...] = KINDS, extras: int = 3, hats: bool = True
) -> Thing:
    """Draws a thing that is not held out.

    Args:
        rng: The source of all draws.
        kinds: The kinds to draw from, not empty.
        extras: At most so many of pattern, hat and neckwear, at least 0.
        hats: Whether a hat may be drawn.

    Returns:
        A valid thing without details, whose look is not in `HELD_OUT_LOOKS`.
    """
    while True:
        thing = _draw_thing(rng, rng.choice(kinds))
        worn = len(thing.accessories()) + (thing.pattern != "plain")
        hatted = thing.hat is not None and not hats
        if worn <= extras and not hatted and thing.look() not in HELD_OUT_LOOKS:
            return thing


def sample_scene(rng: random.Random) -> Scene:
    """Draws a scene of the training world.

    Args:
        rng: The source of all draws.

    Returns:
        A valid scene; none of its things has a held-out look.
    """
    place = rng.choice(PLACES)
    style = rng.choice(STYLES[1:]) if rng.random() < _STYLE_SHARE else "plain"
    if rng.random() < _PAIR_SHARE:
        return _sample_pair(rng, place, style)
    roll = rng.random()
    framing = "normal"
    # Framed scenes are drawn among single things only, so the share is scaled to all scenes.
    share = _FRAMING_SHARE / (1 - _PAIR_SHARE)
    if roll < 2 * share:
        framing = "small" if roll < share else "zoom"
    return Scene(things=(sample_thing(rng),), place=place, style=style, framing=framing)


def _sample_pair(rng: random.Random, place: str, style: str) -> Scene:
    if rng.random() < _TOP_SHARE:
        base = sample_thing(rng, kinds=BASES, extras=1, hats=False)
        top = sample_thing(rng, kinds=tuple(k for k in TOPPERS if k != base.kind), extras=1)
        return Scene(things=(top, base), relation="on top of", place=place, style=style)
    things = (sample_thing(rng, extras=1), sample_thing(rng, extras=1))
    return Scene(things=things, relation="next to", place=place, style=style)


def _draw_thing(rng: random.Random, kind: str) -> Thing:
    color = rng.choice(COLORS)
    pattern = rng.choices(PATTERNS, _PATTERN_WEIGHTS)[0]
    second = None
    if pattern != "plain":
        second = rng.choice([name for name in COLORS if name != color])
    hat = collar = scarf = None
    if kind in HAT_KINDS and rng.random() < _HAT_SHARE:
        hat = rng.choice(COLORS)
    if kind in NECK_KINDS and rng.random() < _NECKWEAR_SHARE:
        neckwear = rng.choice(COLORS)
        collar, scarf = (neckwear, None) if rng.random() < 0.5 else (None, neckwear)
    return Thing(
        kind=kind,
        color=color,
        pattern=pattern,
        pattern_color=second,
        hat=hat,
        collar=collar,
        scarf=scarf,
    )
