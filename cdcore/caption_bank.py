"""The caption bank: captions whose pictures a merge leaves alone, and prompts of a concept.

Captions of a real base are written here by template, in the words that people use for pictures;
those of the pocket base are its world's. A user may bring a file instead. Prompts of a concept say
it in many places and styles: some for the sketch, others held out.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cdcore.errors import ConfigError
from cdcore.pocket.caption import caption as pocket_caption
from cdcore.pocket.scene import sample_scene

__all__ = ["CaptionBank", "ConceptPrompts", "concept_prompts", "read_captions", "written_captions"]

_COUNT = 1200
"""Captions that are written; of each six one is held out."""
_HELD_OUT_EVERY = 6

_OPENINGS = (
    *("", "", "a photo of", "photo of", "a close up of", "a picture of", "a portrait of"),
    *("an oil painting of", "a watercolor of", "a black and white photo of", "a drawing of"),
    *("a wide shot of", "a pencil sketch of", "a 3d render of", "an old photograph of"),
)
_NOUNS = (
    *("cat", "dog", "horse", "cow", "sheep", "elephant", "tiger", "owl", "parrot", "goldfish"),
    *("butterfly", "turtle", "rabbit", "fox", "bear", "penguin", "man", "woman", "boy", "girl"),
    *("old man", "child", "farmer", "dancer", "chef", "soldier", "football player", "couple"),
    *("family", "crowd", "cup of coffee", "bowl of soup", "pizza", "birthday cake", "sandwich"),
    *("basket of apples", "plate of pasta", "bottle of wine", "loaf of bread", "car", "bus"),
    *("truck", "bicycle", "motorcycle", "train", "airplane", "sailing boat", "tractor", "house"),
    *("castle", "church", "barn", "bridge", "lighthouse", "skyscraper", "temple", "windmill"),
    *("tree", "rose", "sunflower", "mushroom", "mountain", "waterfall", "lake", "river", "cloud"),
    *("chair", "table", "sofa", "lamp", "bed", "bookshelf", "clock", "vase", "mirror", "piano"),
    *("guitar", "violin", "camera", "laptop", "phone", "umbrella", "hat", "pair of shoes"),
    *("backpack", "dress", "necklace", "teddy bear", "robot", "doll", "kite", "ball", "statue"),
    *("wooden pot", "tea pot", "candle", "book", "newspaper", "key", "knife", "hammer", "flag"),
    *("street", "kitchen", "living room", "garden", "market stall", "shop window", "road sign"),
)
_QUALITIES = (
    *("", "", "", "red", "blue", "green", "yellow", "white", "black", "brown", "purple", "pink"),
    *("small", "large", "tiny", "old", "new", "broken", "shiny", "dirty", "wooden", "metal"),
    *("colorful", "striped", "fluffy", "happy", "sad", "sleeping", "beautiful", "empty", "modern"),
    *("vintage", "wet", "golden", "dark", "bright", "toy", "wild", "elegant", "round"),
)
_PLACES = (
    *("on the beach", "in the snow", "in a forest", "in the city", "on a table", "in a field"),
    *("at night", "at sunset", "in the rain", "on a wooden floor", "in front of a window"),
    *("next to a fence", "in the kitchen", "on a white background", "in the desert", "by the sea"),
    *("under a bridge", "on a hill", "in the mountains", "in a museum", "on the street"),
    *("in the garden", "at the airport", "in a small room", "on top of a roof", "under a tree"),
    *("in the fog", "in new york", "in paris", "in japan", "at a party", "on the grass"),
    *(
        "in the water",
        "inside a car",
        "in a classroom",
        "behind a counter",
        "on a sofa",
        "in space",
    ),
)
_ACTIONS = (
    *("sitting", "standing", "running", "flying", "sleeping", "lying", "waiting", "hanging"),
    *("seen from above", "seen from behind", "covered in flowers", "made of glass", "on fire"),
    *("floating", "surrounded by people", "reflected in a puddle", "wrapped in paper", "for sale"),
)
_RELATIONS = (
    *("and", "next to", "on top of", "in front of", "behind", "with", "under", "holding"),
    *("looking at", "beside", "full of", "painted on"),
)
_ENDINGS = (
    *("", "", "", ", soft light", ", high detail", ", shallow depth of field", ", warm colors"),
    *(", studio lighting", ", film grain", ", in the style of impressionism", ", bokeh"),
    *(", golden hour", ", minimal", ", aerial view", ", cinematic", ", on a cloudy day"),
)

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
class CaptionBank:
    """Captions in two parts.

    Attributes:
        fitted: What a merge is fitted to.
        held_out: What its drift is measured on.
    """

    fitted: tuple[str, ...]
    held_out: tuple[str, ...]

    @classmethod
    def split(cls, captions: tuple[str, ...]) -> "CaptionBank":
        """Hold out every sixth of distinct captions."""
        distinct = tuple(dict.fromkeys(captions))
        held_out = distinct[_HELD_OUT_EVERY - 1 :: _HELD_OUT_EVERY]
        return cls(
            fitted=tuple(caption for caption in distinct if caption not in set(held_out)),
            held_out=held_out,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class ConceptPrompts:
    """Templates with "{}" for a concept's phrase.

    Attributes:
        sketch: What its sketch is drawn from.
        held_out: What the error of a merge is measured on.
    """

    sketch: tuple[str, ...]
    held_out: tuple[str, ...]


def written_captions(*, pocket: bool) -> CaptionBank:
    """Return the project's own captions, always the same ones.

    Args:
        pocket: Those of the pocket world instead of those of photographs and paintings.
    """
    captions: dict[str, None] = {}
    source = _pocket_captions() if pocket else _real_captions()
    while len(captions) < _COUNT:
        captions[next(source)] = None
    return CaptionBank.split(tuple(captions))


def read_captions(file: Path) -> CaptionBank:
    """Read captions from a text file, one on each line; empty lines and # lines are skipped.

    Raises:
        ConfigError: The file cannot be read, or has fewer than six different captions.
    """
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text in UTF-8"
        raise ConfigError(f"{file}: captions cannot be read ({reason})") from error
    stripped = (line.strip() for line in lines)
    bank = CaptionBank.split(tuple(line for line in stripped if line and line[0] != "#"))
    if not bank.held_out:
        raise ConfigError(
            f"{file}: {len(bank.fitted)} different captions, expected hundreds, one on each line"
        )
    return bank


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


def _pocket_captions() -> Iterator[str]:
    rng = random.Random("captions")
    while True:
        yield pocket_caption(sample_scene(rng), rng)


def _real_captions() -> Iterator[str]:
    rng = random.Random("captions")
    while True:
        words = [rng.choice(_OPENINGS), _thing(rng)]
        match rng.randrange(4):
            case 0:
                words += [rng.choice(_RELATIONS), _thing(rng), rng.choice(("", *_PLACES))]
            case 1:
                words += [rng.choice(_ACTIONS), rng.choice(_PLACES)]
            case _:
                words += [rng.choice(_PLACES)]
        yield " ".join(word for word in words if word) + rng.choice(_ENDINGS)


def _thing(rng: random.Random) -> str:
    noun = " ".join(part for part in (rng.choice(_QUALITIES), rng.choice(_NOUNS)) if part)
    return ("an " if noun[0] in "aeiou" else "a ") + noun
