"""Captions that no merge is fitted to: other things and places, in sentences of other forms.

The drift of a merge is measured on them. Captions from the same lists as the fitted ones would only
show what the merge was made to leave alone. The pocket world has no other things, colours and
places than the fitted captions name; its held-out captions say them in other forms, with words that
no caption of the world uses.
"""

import random
from collections.abc import Iterator

from cdcore.pocket.scenes.scene import PLACES
from cdcore.pocket.scenes.thing import COLORS, HAT_KINDS, KINDS

__all__ = ["pocket_captions", "real_captions"]

_OPENINGS = (
    *("a snapshot of", "an engraving of", "a poster showing", "graffiti of", "a sculpture of"),
    *("an x-ray of", "a postcard with", "a cartoon about", "a blurry selfie with", "a stamp with"),
    *("a low resolution scan of", "a vector logo of", "a gallery catalogue entry about"),
)
_NOUNS = (
    *("zebra", "kangaroo", "octopus", "hedgehog", "camel", "squirrel", "eagle", "shark", "bee"),
    *("goat", "duck", "lizard", "koala", "nurse", "pilot", "surfer", "grandmother", "king"),
    *("astronaut", "cyclist", "bride", "toddler", "wizard", "waffle", "burrito", "pineapple"),
    *("salad", "cheese", "ice cream", "doughnut", "milkshake", "canoe", "helicopter", "tram"),
    *("scooter", "submarine", "van", "rocket", "igloo", "pagoda", "pyramid", "cabin", "harbor"),
    *("cactus", "tulip", "volcano", "island", "iceberg", "stool", "wardrobe", "carpet", "fridge"),
    *("kettle", "spoon", "bucket", "ladder", "trumpet", "drum", "typewriter", "radio", "drone"),
    *("keyboard", "wallet", "boot", "suitcase", "ring", "helmet", "puppet", "puzzle", "snowman"),
    *("fountain", "stadium", "library", "subway station", "playground", "farmyard", "hallway"),
)
_QUALITIES = (
    *("", "", "grey", "orange", "turquoise", "silver", "huge", "narrow", "ancient", "rusty"),
    *("furry", "transparent", "square", "angry", "curious", "wrinkled", "plastic", "marble"),
    *("polka dot", "frozen", "muddy", "expensive", "cheap", "heavy", "tiny-eyed", "famous"),
)
_PLACES = (
    *("at the zoo", "within a cave", "near a swamp", "during a parade", "along the canal"),
    *("at a gas station", "beneath the stars", "over the ocean", "outside a bakery"),
    *("among bamboo", "beyond the railway", "at breakfast", "on mars", "in london", "in africa"),
    *("on stage", "through a keyhole", "across the bay", "at noon", "by candlelight"),
)
_DOINGS = (
    *("jumping", "swimming", "dancing", "eating", "melting", "spinning", "smiling", "driving"),
    *("climbing", "exploding", "reading a map", "playing chess", "carved out of soap"),
)
_ENDINGS = (
    *("", "", "; award winning", "; pixel art", "; infrared", "; fisheye lens", "; 1970s"),
    *("; cubism", "; long exposure", "; origami", "; crayon", "; stock image", "; neon glow"),
)
_POCKET_OPENINGS = (
    "an illustration of",
    "a drawing of",
    "a painting of",
    "an image of",
    "my art of",
)


def real_captions(rng: random.Random) -> Iterator[str]:
    """Write captions of photographs and art without an end.

    Args:
        rng: The source of all draws.

    Yields:
        Lower-case captions. But for words such as ``a``, ``of`` and ``in``, no word of them stands
        in the captions that merges are fitted to.
    """
    while True:
        thing, place, doing = _thing(rng), rng.choice(_PLACES), rng.choice(_DOINGS)
        said = (
            f"{place}, {thing} is {doing}",
            f"{rng.choice(_OPENINGS)} {thing} {doing}",
            f"{rng.choice(_OPENINGS)} {thing} {place}",
            f"there are {thing}, {_thing(rng)} or {_thing(rng)} {place}",
            f"{thing} chasing {_thing(rng)}",
            f"why is {thing} {doing} {place}?",
        )
        yield rng.choice(said) + rng.choice(_ENDINGS)


def pocket_captions(rng: random.Random) -> Iterator[str]:
    """Write captions of the pocket world without an end, in forms that its captions do not have.

    Args:
        rng: The source of all draws.

    Yields:
        Words that the world's text tower knows, joined by single spaces.
    """
    while True:
        kind, other = rng.sample(KINDS, 2)
        color, place = rng.choice(COLORS), rng.choice(PLACES)
        worn = rng.choice(sorted(HAT_KINDS))
        said = (
            f"{place} the {color} {kind} is by the {other}",
            f"my {kind} is {color}",
            f"{rng.choice(_POCKET_OPENINGS)} the {color} {kind} {place}",
            f"the {kind} and the {other} is {place}",
            f"this {kind} is made {color}",
            f"one {color} {kind} from its side",
            f"{place} two {kind} like this {color} {other}",
            f"the {worn} that is wearing the {color} {rng.choice(('hat', 'scarf', 'collar'))}",
        )
        yield rng.choice(said)


def _thing(rng: random.Random) -> str:
    noun = " ".join(part for part in (rng.choice(_QUALITIES), rng.choice(_NOUNS)) if part)
    return ("an " if noun[0] in "aeiou" else "a ") + noun
