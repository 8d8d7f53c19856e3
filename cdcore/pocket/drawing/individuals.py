"""The individuals: particular things and art styles that the sampled world never shows."""

import random
from dataclasses import dataclass

from PIL import Image

from cdcore.pocket.drawing.art_styles import ARTS, apply_art
from cdcore.pocket.drawing.render import render
from cdcore.pocket.scenes.caption import full_caption
from cdcore.pocket.scenes.held_out import HELD_OUT
from cdcore.pocket.scenes.scene import PLACES, Scene, Thing, sample_thing


@dataclass(frozen=True, kw_only=True, slots=True)
class Individual:
    """A particular thing or a particular art style, to be learned from a few pictures.

    Attributes:
        name: Lower-case letters, unique.
        class_noun: The kind of the thing, or "art" for a style.
        thing: The thing, or None for a style.
        style: One of the arts, or None for a thing.
        note: What makes it recognisable, for people.

    Raises:
        ValueError: If not exactly one of thing and style is given.
    """

    name: str
    class_noun: str
    thing: Thing | None = None
    style: str | None = None
    note: str = ""

    def __post_init__(self) -> None:
        """Refuses an individual that is both or neither."""
        if (self.thing is None) == (self.style is None):
            raise ValueError("an individual is either a thing or a style")


def _thing_note(thing: Thing) -> str:
    extras = [f"{thing.pattern} in {thing.pattern_color}"] if thing.pattern_color else []
    extras += [f"{color} {name}" for name, color in thing.accessories()]
    return ", ".join([f"{thing.color} {thing.kind}", *extras, *thing.details])


_ART_NAMES = {"neon": "myneon", "mosaic": "mymosaic"}
_ART_NOTES = {"neon": "night glow neon outlines", "mosaic": "mosaic tiles with light joints"}

INDIVIDUALS: dict[str, Individual] = {
    **{
        name: Individual(name=name, class_noun=thing.kind, thing=thing, note=_thing_note(thing))
        for name, thing in HELD_OUT.items()
    },
    **{
        _ART_NAMES[art]: Individual(
            name=_ART_NAMES[art], class_noun="art", style=art, note=_ART_NOTES[art]
        )
        for art in ARTS
    },
}
"""All individuals by name."""


def render_individual(
    name: str, count: int, seed: int, size: int = 64
) -> list[tuple[Image.Image, str]]:
    """Draws pictures of an individual.

    Args:
        name: A name in `INDIVIDUALS`.
        count: How many pictures, at least 0.
        seed: Which pictures; the same seed gives the same ones.
        size: The side of each picture in pixels, positive.

    Returns:
        Pairs of an RGB picture and a caption: for a thing only its place, such as "on the
        grass"; for a style what is shown, such as "a red cat on the grass".

    Raises:
        KeyError: If there is no such individual.
        ValueError: If the count is negative or the size is not positive.
    """
    individual = INDIVIDUALS[name]
    if count < 0:
        raise ValueError(f"count must be at least 0, not {count}")
    rng = random.Random(f"{name}:{seed}")
    places = _dealt_places(count, rng)
    return [_picture(individual, place, rng, size) for place in places]


def _dealt_places(count: int, rng: random.Random) -> list[str]:
    """Deals the places like shuffled decks, so that few pictures already vary."""
    places: list[str] = []
    while len(places) < count:
        places += rng.sample(PLACES, len(PLACES))
    return places[:count]


def _picture(
    individual: Individual, place: str, rng: random.Random, size: int
) -> tuple[Image.Image, str]:
    framing = rng.choices(("normal", "zoom"), (0.9, 0.1))[0]
    if individual.thing is not None:
        scene = Scene(things=(individual.thing,), place=place, framing=framing)
        return render(scene, rng, size), place
    scene = Scene(things=(sample_thing(rng, extras=1),), place=place)
    text = full_caption(scene).removeprefix("a photo of ")
    return apply_art(render(scene, rng, size), individual.style or "", rng), text
