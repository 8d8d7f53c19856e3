"""Tests of `rayjobs.training.brought_pictures`."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cdcore.errors import CustomDiffusionError
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


def empty(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


def leave_one(folder: Path) -> None:
    empty(folder)
    write_captioned(folder, 1)


def truncate(folder: Path) -> None:
    path = folder / "1.png"
    path.write_bytes(path.read_bytes()[:900])


def captions(content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / "caption.txt").write_bytes(content)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "no such folder": lambda folder: folder.rename(folder.with_name("elsewhere")),
    "no pictures in it": empty,
    "has pictures but no captions": lambda folder: (folder / "caption.txt").unlink(),
    "has 1 lines for 3 pictures": captions(b"a cat"),
    "line 2 is empty": captions(b"a\n\nb\n"),
    "not a text in UTF-8": captions(b"caf\xe9"),
    "names <mycat>": captions(b"a\nb\na <mycat> cat"),
    "damaged picture": truncate,
    "has 1 pictures": leave_one,
}


@pytest.mark.parametrize("message", DAMAGES)
def test_what_cannot_be_used_is_refused_in_one_line(
    tmp_path: Path, tiny_folder: Path, tiny_base: Base, message: str
) -> None:
    folder = write_captioned(tmp_path / "cats")
    DAMAGES[message](folder)
    made = job(tmp_path, tiny_folder, regularization=folder)
    with pytest.raises(CustomDiffusionError, match=message) as caught:
        brought_pictures(made, resolve(made, tiny_base), 64)
    assert "\n" not in str(caught.value)
