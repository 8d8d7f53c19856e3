"""Tests of `rayjobs.training.brought_pictures`."""

from dataclasses import replace
from pathlib import Path

from cdcore.model.base import Base
from rayjobs.config.concept_source import ConceptSource
from rayjobs.config.training import resolve
from rayjobs.training.brought_pictures import brought_pictures
from tests.rayjobs.train_case import job, write_captioned


def test_each_subject_has_those_of_its_own_folder(
    tmp_path: Path, tiny_folder: Path, tiny_base: Base
) -> None:
    folder = write_captioned(tmp_path / "cats", 4)
    made = replace(
        job(tmp_path, tiny_folder, regularization_images=2),
        images=None,
        class_noun=None,
        train="joint",
        concepts=(
            ConceptSource(images=tmp_path / "seat", class_noun="chair"),
            ConceptSource(images=tmp_path / "tom", class_noun="cat", regularization=folder),
        ),
    )
    config = resolve(made, tiny_base)
    none, own = brought_pictures(made, config, 64)
    assert not none
    assert [one.caption for one in own] == ["a cat, number 0", "a cat, number 1"]
    assert len(brought_pictures(made, config, 64, most=4)[1]) == 4
    assert len(brought_pictures(made, config, 64, most=1)[1]) == 2
