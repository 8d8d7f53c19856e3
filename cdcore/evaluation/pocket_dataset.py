"""A set of concepts from the pocket world, in the layout of CustomConcept101.

The real set cannot be put into a repository and shows nothing that the pocket base could draw. This
one has the same files (`cdcore.evaluation.dataset`): two individuals of each kind of thing, twenty
prompts for each family, pairs of things of different kinds with twelve prompts, and real pictures
of each kind with their captions. The first individual of a kind is the known one of
`cdcore.pocket.scenes.held_out`; the others have its small details, which the sampled world never
shows, and looks of their own.
"""

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cdcore.evaluation.dataset import PAIR_FILE, SINGLE_FILE
from cdcore.files import write_text
from cdcore.pictures.png import save_picture
from cdcore.pocket.drawing.render import render
from cdcore.pocket.scenes.caption import caption
from cdcore.pocket.scenes.held_out import HELD_OUT, HELD_OUT_LOOKS
from cdcore.pocket.scenes.scene import (
    BASES,
    KINDS,
    PLACES,
    TOPPERS,
    Scene,
    Thing,
    sample_scene,
    sample_thing,
)

__all__ = ["FAMILIES", "PAIRS", "PocketSet", "individuals", "pair_prompts", "single_prompts"]

FAMILIES = {
    "pet": ("cat", "dog", "tortoise"),
    "furniture": ("chair", "table"),
    "decoritems": ("wooden pot", "flower"),
    "plushie": ("teddy bear",),
    "scene": ("barn", "moon gate"),
    "person": ("person",),
}
"""The kinds of each family; families share a file of prompts."""

PAIRS = (
    ("cat", "wooden pot"),
    ("chair", "table"),
    ("flower", "wooden pot"),
    ("cat", "chair"),
    ("dog", "barn"),
    ("teddy bear", "table"),
    ("tortoise", "flower"),
    ("person", "moon gate"),
    ("person", "dog"),
    ("teddy bear", "chair"),
    # The authors of the method name pairs such as these as its limits.
    ("cat", "dog"),
    ("teddy bear", "tortoise"),
)
"""Kinds that are shown together."""

_SET_SEED = 5001
"""The seed of the individuals and of all pictures; pretraining and the judge have others."""
_BESIDE = ("flower", "chair", "wooden pot", "table", "barn")
_MOST_TRIES = 100_000


@dataclass(frozen=True, kw_only=True, slots=True)
class PocketSet:
    """How large a set is.

    Attributes:
        per_kind: Individuals of each kind, at least 1.
        pictures: How many pictures each individual has, at least 1.
        real: Real pictures of each kind, at least 0.
    """

    per_kind: int = 2
    pictures: int = 8
    real: int = 100

    def write(self, folder: Path, on_file: Callable[[int, int], None] | None = None) -> None:
        """Write the set; what is there is replaced by the same.

        Args:
            folder: Created when missing.
            on_file: Called with the pictures written and all of them.

        Raises:
            OSError: A file cannot be written.
        """
        made = individuals(self.per_kind)
        total = self.pictures * len(made) + self.real * len(KINDS)
        for family in FAMILIES:
            _write_lines(folder / "prompts" / f"{family}.txt", single_prompts(family))
        for top, base in PAIRS:
            _write_lines(folder / _compose_file(top, base), pair_prompts(top, base))
        pictures = self._pictures(folder, made)
        for done, (path, settings, image) in enumerate(pictures, start=1):
            if not path.exists():
                save_picture(path, image(), settings)
            if on_file is not None:
                on_file(done, total)
        # Last: with the lists the set is whole.
        singles = [_described(name, thing.kind) for name, thing in made.items()]
        _write_json(folder / PAIR_FILE, _pairs(made))
        _write_json(folder / SINGLE_FILE, singles)

    def _pictures(
        self, folder: Path, made: dict[str, Thing]
    ) -> Iterator[tuple[Path, dict[str, Any], Callable[[], Any]]]:
        for name, thing in made.items():
            rng = random.Random(f"{_SET_SEED}:{name}")
            places = [
                PLACES[(start + number) % len(PLACES)]
                for start in [rng.randrange(len(PLACES))]
                for number in range(self.pictures)
            ]
            for number, place in enumerate(places):
                path = folder / "benchmark_dataset" / name / f"{number:02}.png"
                scene = Scene(things=(thing,), place=place)
                draw = _drawing(scene, random.Random(f"{_SET_SEED}:{name}:{number}"))
                yield path, {"individual": name, "place": place}, draw
        for kind in KINDS if self.real else ():
            texts = []
            for number, (scene, rng) in enumerate(_real_scenes(kind, self.real)):
                texts.append(caption(scene, rng))
                path = folder / "regularization" / _slug(kind) / "images" / f"{number:04}.png"
                yield path, {"caption": texts[-1]}, _drawing(scene, rng)
            _write_lines(folder / "regularization" / _slug(kind) / "caption.txt", texts)


def individuals(per_kind: int = 2) -> dict[str, Thing]:
    """Return the things of the set by name, such as ``pet_cat1``: unlike each other in their look.

    Args:
        per_kind: How many of each kind, at least 1.
    """
    known = {thing.kind: thing for thing in HELD_OUT.values()}
    made: dict[str, Thing] = {}
    looks = set(HELD_OUT_LOOKS)
    for family, kinds in FAMILIES.items():
        for kind in kinds:
            for number in range(1, per_kind + 1):
                thing = known[kind]
                if number > 1:
                    rng = random.Random(f"{_SET_SEED}:{kind}:{number}")
                    thing = _other(kind, known[kind].details, looks, rng)
                    looks.add(thing.look())
                stem = f"{family}_{_slug(kind)}" if kind != family else family + "_"
                made[f"{stem}{number}"] = thing
    return made


def single_prompts(family: str) -> tuple[str, ...]:
    """Return the twenty prompts of a family, each with one "{}"; all words are in the vocabulary.

    Places, styles, framings, things beside it, and properties, as in CustomConcept101.
    """
    beside = [kind for kind in _BESIDE if kind not in FAMILIES[family]][:3]
    return (
        "photo of a {}",
        *(f"a {{}} {place}" for place in PLACES),
        "a watercolor of a {} on the beach",
        "a watercolor of a {} in the forest",
        "a pencil sketch of a {} in a room",
        "a pencil sketch of a {} on the grass",
        "very small photo of a {} in the snow",
        "close up photo of a {} at night",
        *(
            f"a {{}} next to a {kind} {place}"
            for kind, place in zip(beside, PLACES[1:], strict=False)
        ),
        "a red {} on the grass",
        "a blue {} in the snow",
        "a {} with white spots on the beach",
        "a {} with black stripes in a room",
    )


def pair_prompts(top: str, base: str) -> tuple[str, ...]:
    """Return the twelve prompts of a pair of kinds, each with "{0}" and "{1}"."""
    on_top = top in TOPPERS and base in BASES
    first, second, third = PLACES[0], PLACES[2], PLACES[4]
    last = [f"a {{0}} on top of a {{1}} {place}" for place in (first, second)]
    if not on_top:
        last = [f"a {{1}} next to a {{0}} {place}" for place in (PLACES[3], PLACES[5])]
    return (
        "photo of a {0} next to a {1}",
        *(f"a {{0}} next to a {{1}} {place}" for place in PLACES),
        f"a {{1}} next to a {{0}} {first}",
        f"a {{1}} next to a {{0}} {second}",
        f"a watercolor of a {{0}} next to a {{1}} {third}",
        *last,
    )


def _other(
    kind: str, details: tuple[str, ...], looks: set[tuple[Any, ...]], rng: random.Random
) -> Thing:
    """Draw a patterned thing of a kind, unlike all others in its look."""
    for _ in range(_MOST_TRIES):
        thing = sample_thing(rng, kinds=(kind,), extras=2)
        if thing.pattern != "plain" and thing.look() not in looks:
            return replace(thing, details=details)
    raise ValueError(f"there are no more looks of a {kind}; ask for fewer per kind")


def _real_scenes(kind: str, count: int) -> Iterator[tuple[Scene, random.Random]]:
    """Yield scenes of the sampled world that show a kind, and what their pictures draw from."""
    found = 0
    for index in range(_MOST_TRIES):
        if found == count:
            return
        rng = random.Random(f"{_SET_SEED}:{kind}:{index}:real")
        scene = sample_scene(rng)
        if any(thing.kind == kind for thing in scene.things):
            found += 1
            yield scene, rng


def _drawing(scene: Scene, rng: random.Random) -> Callable[[], Any]:
    return lambda: render(scene, rng)


def _pairs(made: dict[str, Thing]) -> list[list[dict[str, str]]]:
    of_kind = {kind: [n for n, thing in made.items() if thing.kind == kind] for kind in KINDS}
    pairs = []
    for number, (top, base) in enumerate(PAIRS):
        # The individuals of a kind in turn, so that all have a part.
        names = [of_kind[kind][number % len(of_kind[kind])] for kind in (top, base)]
        first, second = (
            _described(name, kind, f"<new{at}>")
            for at, (name, kind) in enumerate(zip(names, (top, base), strict=True), start=1)
        )
        pairs.append([first, second, {"prompt_filename_compose": _compose_file(top, base)}])
    return pairs


def _described(name: str, kind: str, token: str = "<new1>") -> dict[str, str]:
    family = next(family for family, kinds in FAMILIES.items() if kind in kinds)
    return {
        "instance_prompt": f"photo of a {token} {kind}",
        "class_prompt": kind,
        "instance_data_dir": f"./benchmark_dataset/{name}",
        "class_data_dir": f"./regularization/{_slug(kind)}",
        "prompt_filename": f"prompts/{family}.txt",
    }


def _compose_file(top: str, base: str) -> str:
    return f"prompts/{_slug(top)}_{_slug(base)}.txt"


def _slug(kind: str) -> str:
    return kind.replace(" ", "")


def _write_lines(path: Path, lines: tuple[str, ...] | list[str]) -> None:
    write_text(path, "".join(f"{line}\n" for line in lines))


def _write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=4) + "\n")
