"""The caption of a scene: lower-case words that say what the picture shows."""

import random
import re

from cdcore.pocket.scenes.scene import COLORS, KINDS, PLACES, Scene, Thing

PREFIXES = {"small": ("a far away ", "very small "), "zoom": ("zoomed in ", "close up ")}
"""What is put before the caption of a framed scene."""

_FULL_PREFIX = {"normal": "", "small": "very small ", "zoom": "zoomed in "}
MARKS = {"striped": "stripes", "spotted": "spots"}
"""What a caption calls the marks of a pattern."""
_PROMPT_WORDS = (
    "and art at by close drawing far from illustration image in is its like made my of on "
    "one painting picture red rendering side small style that the this to two up very wearing "
    "with"
)
_KEEP_SHARE = {"color": 0.88, "pattern": 0.85, "accessory": 0.85, "place": 0.85, "prefix": 0.9}


def full_caption(scene: Scene) -> str:
    """Says everything about a scene, always in the same words.

    Args:
        scene: Any scene.

    Returns:
        Words of a-z joined by single spaces, at most 26 words for sampled scenes.
    """
    prefix = _FULL_PREFIX[scene.framing]
    medium = _medium(scene.style) + " of "
    opening = prefix + medium if prefix else "a " + medium
    things = [_full_phrase(thing) for thing in scene.things]
    return opening + f" {scene.relation} ".join(things) + f" {scene.place}"


def caption(scene: Scene, rng: random.Random) -> str:
    """Says a scene in random words, now and then leaving something out.

    Args:
        scene: Any scene.
        rng: The source of all draws.

    Returns:
        Words of a-z joined by single spaces, all of them in `words()`.
    """
    things = [_loose_phrase(thing, rng) for thing in scene.things]
    text = f" {scene.relation} ".join(things)
    if _keeps(rng, "place"):
        text += f" {scene.place}"
    prefix = ""
    if scene.framing in PREFIXES and _keeps(rng, "prefix"):
        prefix = rng.choice(PREFIXES[scene.framing])
    return prefix + _opening(scene.style, rng, bare=bool(prefix)) + text


def words() -> tuple[str, ...]:
    """Returns every word of captions and common prompts, sorted, without repeats."""
    text = " ".join((*KINDS, *COLORS, *PLACES, *MARKS, *MARKS.values(), _PROMPT_WORDS))
    text += " a an photo watercolor pencil sketch next to on top of with and wearing hat collar"
    text += " scarf " + " ".join(prefix for group in PREFIXES.values() for prefix in group)
    return tuple(sorted(set(re.findall("[a-z]+", text))))


def _medium(style: str) -> str:
    return "photo" if style == "plain" else style


def _opening(style: str, rng: random.Random, *, bare: bool) -> str:
    if style != "plain":
        return f"{style} of " if bare else f"a {style} of "
    roll = rng.random()
    if roll < 0.4:
        return "photo of " if bare else "a photo of "
    return "photo of " if roll < 0.6 else ""


def _keeps(rng: random.Random, what: str) -> bool:
    return rng.random() < _KEEP_SHARE[what]


def _article(noun_phrase: str) -> str:
    return ("an " if noun_phrase[0] in "aeiou" else "a ") + noun_phrase


def _full_phrase(thing: Thing) -> str:
    phrase = _article(f"{thing.color} {thing.kind}")
    extras = []
    if thing.pattern_color is not None:
        extras.append(f"{thing.pattern_color} {MARKS[thing.pattern]}")
    extras += [_article(f"{color} {name}") for name, color in thing.accessories()]
    return phrase + (" with " + " and ".join(extras) if extras else "")


def _loose_phrase(thing: Thing, rng: random.Random) -> str:
    core = thing.kind
    extras = []
    if thing.pattern_color is not None and _keeps(rng, "pattern"):
        if rng.random() < 0.75:
            extras.append(f"{thing.pattern_color} {MARKS[thing.pattern]}")
        else:
            core = f"{thing.pattern} {core}"
    if _keeps(rng, "color"):
        core = f"{thing.color} {core}"
    joint = " with " if extras or rng.random() < 0.8 else " wearing "
    for name, color in thing.accessories():
        if _keeps(rng, "accessory"):
            extras.append(_article(f"{color} {name}" if _keeps(rng, "color") else name))
    return _article(core) + (joint + " and ".join(extras) if extras else "")
