"""Tests of `cdcore.pocket.drawing.individuals`."""

import random
from dataclasses import replace

import pytest

from cdcore.pocket.drawing.individuals import INDIVIDUALS, Individual, render_individual
from cdcore.pocket.drawing.render import render
from cdcore.pocket.scenes.scene import KINDS, PLACES, Scene


def test_every_kind_has_an_individual_and_there_are_two_arts() -> None:
    nouns = [individual.class_noun for individual in INDIVIDUALS.values()]
    assert set(nouns) == {*KINDS, "art"}
    assert nouns.count("art") == 2
    assert all(name == one.name and name.isalpha() for name, one in INDIVIDUALS.items())


@pytest.mark.parametrize("name", INDIVIDUALS)
def test_pictures_are_deterministic_and_varied(name: str) -> None:
    first, again = render_individual(name, 6, 1), render_individual(name, 6, 1)
    assert [(image.tobytes(), text) for image, text in first] == [
        (image.tobytes(), text) for image, text in again
    ]
    assert len({image.tobytes() for image, _ in first}) == 6
    assert all((image.mode, image.size) == ("RGB", (64, 64)) for image, _ in first)
    assert all(any(text.endswith(place) for place in PLACES) for _, text in first)


def test_details_show() -> None:
    for individual in INDIVIDUALS.values():
        thing = individual.thing
        if thing is None:
            continue
        bare = replace(thing, details=())
        pictures = [
            render(Scene(things=(one,), place="on the grass"), random.Random(0)).tobytes()
            for one in (thing, bare)
        ]
        assert pictures[0] != pictures[1], individual.name


def test_wrong_requests_are_refused() -> None:
    with pytest.raises(KeyError):
        render_individual("nobody", 1, 0)
    with pytest.raises(ValueError, match="count"):
        render_individual("mycat", -1, 0)
    with pytest.raises(ValueError, match="either a thing or a style"):
        Individual(name="x", class_noun="cat")
