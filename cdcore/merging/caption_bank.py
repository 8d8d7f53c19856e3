"""The caption bank: captions whose pictures a merge leaves alone, and prompts of a concept.

Captions of a real base are written here by template, in the words that people use for pictures;
those of the pocket base are its world's. Captions to measure on have a vocabulary of their own
(`cdcore.merging.held_out_captions`). A user may bring a file instead.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cdcore.errors import ConfigError
from cdcore.files import read_texts
from cdcore.merging import held_out_captions
from cdcore.pocket.scenes.caption import caption as pocket_caption
from cdcore.pocket.scenes.scene import sample_scene

__all__ = ["CaptionBank", "read_captions", "written_captions"]

_COUNT = 1200
"""Captions that are written, of which each sixth is left out: earlier versions held it out, and
merges stay as they were."""
_HELD_OUT_COUNT = 200
_HELD_OUT_EVERY = 6
"""Of a user's captions."""

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


def written_captions(*, pocket: bool) -> CaptionBank:
    """Return the project's own captions, always the same ones.

    Args:
        pocket: Those of the pocket world instead of those of photographs and paintings.
    """
    rng = random.Random("held-out captions")
    written = _distinct(_pocket_captions() if pocket else _real_captions(), _COUNT)
    held_out = held_out_captions.pocket_captions if pocket else held_out_captions.real_captions
    return CaptionBank(
        fitted=CaptionBank.split(written).fitted, held_out=_distinct(held_out(rng), _HELD_OUT_COUNT)
    )


def read_captions(file: Path) -> CaptionBank:
    """Read captions from a text file, one on each line; empty lines and # lines are skipped.

    Raises:
        ConfigError: The file cannot be read, or has fewer than six different captions.
    """
    try:
        bank = CaptionBank.split(read_texts(file))
    except OSError as error:
        raise ConfigError(f"{file}: captions cannot be read ({error.strerror})") from error
    if not bank.held_out:
        raise ConfigError(
            f"{file}: {len(bank.fitted)} different captions, expected hundreds, one on each line"
        )
    return bank


def _distinct(captions: Iterator[str], count: int) -> tuple[str, ...]:
    found: dict[str, None] = {}
    while len(found) < count:
        found[next(captions)] = None
    return tuple(found)


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
