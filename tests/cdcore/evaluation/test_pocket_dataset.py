"""Tests of `cdcore.evaluation.pocket_dataset`."""

import re
from collections import Counter
from pathlib import Path

import pytest

from cdcore.evaluation.dataset import ConceptSet, read_concept_set
from cdcore.evaluation.pocket_dataset import (
    FAMILIES,
    PAIRS,
    PocketSet,
    individuals,
    pair_prompts,
    single_prompts,
)
from cdcore.pictures.picture_folder import read_pictures
from cdcore.pocket.scenes.caption import words
from cdcore.pocket.scenes.held_out import HELD_OUT
from cdcore.pocket.scenes.scene import KINDS

SMALL = PocketSet(per_kind=2, pictures=2, real=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("set")
    SMALL.write(made)
    return made


@pytest.fixture(scope="module")
def read(folder: Path) -> ConceptSet:
    return read_concept_set(folder)


def test_it_is_read_without_a_note_and_is_large_enough_for_a_table(read: ConceptSet) -> None:
    assert read.notes == ()
    assert len(read.singles) == 22
    assert len(read.pairs) == 12
    nouns = Counter(entry.concepts[0].class_noun for entry in read.singles)
    assert nouns == dict.fromkeys(KINDS, 2)
    assert {len(entry.prompts) for entry in read.singles} == {20}
    assert {len(entry.prompts) for entry in read.pairs} == {12}


def test_every_concept_of_a_pair_is_a_single_one_too_and_of_another_kind(read: ConceptSet) -> None:
    singles = {entry.concepts[0] for entry in read.singles}
    for entry in read.pairs:
        assert set(entry.concepts) <= singles
        first, second = entry.concepts
        assert first.class_noun != second.class_noun


def test_every_individual_has_pictures_and_every_kind_real_ones_with_captions(
    read: ConceptSet,
) -> None:
    for entry in read.singles:
        (concept,) = entry.concepts
        assert len({picture.digest for picture in read_pictures(concept.images)}) == 2
        assert concept.real_pictures is not None
        assert len(read_pictures(concept.real_pictures)) == 2
        captions = concept.real_captions()
        assert len(captions) == 2
        assert all(concept.class_noun in caption for caption in captions)


def test_all_that_is_asked_for_can_be_said_in_the_pocket_s_words() -> None:
    texts = [text for family in FAMILIES for text in single_prompts(family)]
    texts += [text for pair in PAIRS for text in pair_prompts(*pair)]
    used = {word for text in texts for word in re.findall("[a-z]+", text)}
    assert used <= set(words())
    for family in FAMILIES:
        assert len(set(single_prompts(family))) == 20
    for pair in PAIRS:
        assert len(set(pair_prompts(*pair))) == 12


def test_individuals_differ_in_their_look_and_the_first_are_the_known_ones() -> None:
    made = individuals(3)
    assert len({thing.look() for thing in made.values()}) == len(made) == 3 * len(KINDS)
    firsts = [thing for name, thing in made.items() if name.endswith("1")]
    assert sorted(thing.kind for thing in firsts) == sorted(KINDS)
    assert set(firsts) <= set(HELD_OUT.values())
    # Without a detail of their own they could be drawn by the sampled world.
    assert all(thing.details for thing in made.values())
    assert individuals(2).items() <= made.items()


def test_writing_again_changes_nothing(folder: Path) -> None:
    def stamps() -> dict[Path, tuple[int, bytes]]:
        pngs = sorted(folder.rglob("*.png"))
        return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in pngs}

    before, lists = stamps(), (folder / "dataset.json").read_text()
    lost = next(iter(before))
    lost.unlink()
    calls: list[tuple[int, int]] = []
    SMALL.write(folder, lambda done, total: calls.append((done, total)))
    after = stamps()
    assert after[lost][1] == before[lost][1]
    assert all(after[path] == before[path] for path in before if path != lost)
    assert (folder / "dataset.json").read_text() == lists
    assert calls[-1] == (2 * 22 + 2 * 11, 2 * 22 + 2 * 11)
