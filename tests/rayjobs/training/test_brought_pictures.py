"""Tests of `rayjobs.training.brought_pictures`."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cdcore.errors import CustomDiffusionError, RunError
from cdcore.model.base import Base
from rayjobs.config.concept_source import ConceptSource
from rayjobs.config.training import TrainJob, resolve
from rayjobs.training.brought_pictures import brought_pictures
from rayjobs.training.driver import train
from tests.rayjobs.stand_in import Cluster
from tests.rayjobs.train_case import job, write_captioned, write_pictures


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


def test_pictures_of_the_class_go_to_the_workers_with_their_captions(
    plain: TrainJob, cluster: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_pictures(tmp_path / "images")
    folder = write_captioned(tmp_path / "cats")
    made = replace(plain, regularization=folder)
    train(made)
    (brought,) = cluster.tasks[0].regularization
    assert [one.caption for one in brought] == ["a cat, number 0", "a cat, number 1"]
    assert {one.picture.image.size for one in brought} == {(64, 64)}
    assert f"2 regularization rows (pictures of {folder}), all on 1" in capsys.readouterr().out
    # The third picture is not among the first two.
    (folder / "caption.txt").write_text("a cat, number 0\na cat, number 1\na dog\n")
    assert train(made)["status"] == "finished"
    (folder / "caption.txt").write_text("a cat, number 0\na dog\na dog\n")
    with pytest.raises(RunError, match=r"regularization was '2 captioned pictures .*', now '2 cap"):
        train(made)
    with pytest.raises(RunError, match=r"regularization was '2 captioned pictures .*', now None"):
        train(plain)
    assert len(cluster.tasks) == 1


@pytest.mark.parametrize("dry_run", [False, True])
def test_captions_that_are_cut_or_foreign_and_what_is_not_read_are_told(
    plain: TrainJob,
    cluster: Cluster,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    dry_run: bool,
) -> None:
    write_pictures(tmp_path / "images")
    folder = write_captioned(tmp_path / "cats", 2)
    (folder / "caption.txt").write_text("a (cat:1.3)\n" + "a very old cat " * 40)
    (folder / "urls.txt").touch()
    train(replace(plain, regularization=folder, dry_run=dry_run, tflops=1.0))
    out = capsys.readouterr().out
    assert "note: cats: not read as pictures: urls.txt\n" in out
    assert "note: 1 of 2 captions are longer than this base reads (" in out
    assert "note: '(cat:1.3)' is a weight in other programs" in out
