import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from rayjobs.runs.checkpoints import finish_checkpoint, last_checkpoint, step_of, writing_folder

IDENTITY = "abc"


def written(folder: Path, step: int, session: str = "s") -> Path:
    """Write all that workers write before a checkpoint is finished."""
    writing = writing_folder(folder, session=session, step=step)
    for worker in range(2):
        (writing / "engine").mkdir(parents=True, exist_ok=True)
        (writing / "engine" / f"rank-{worker}.pt").write_bytes(bytes(100 + worker))
    return writing


def write(folder: Path, step: int, *, identity: str = IDENTITY) -> Path:
    return finish_checkpoint(written(folder, step), step=step, identity=identity)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_run_that_has_saved_nothing_has_no_checkpoint(tmp_path: Path) -> None:
    assert last_checkpoint(tmp_path / "missing", IDENTITY) is None
    assert not (tmp_path / "missing").exists()
    (tmp_path / "checkpoint_manager_snapshot.json").write_text('{"ray_version": "')
    assert last_checkpoint(tmp_path, IDENTITY) is None
    assert names(tmp_path) == []


def test_two_are_kept_and_the_last_is_taken(tmp_path: Path) -> None:
    for step in (5, 20, 100, 1000000):
        assert write(tmp_path, step).is_dir()
        assert len(names(tmp_path)) == min(2, 1 + (step > 5))
    (tmp_path / "checkpoint_manager_snapshot.json").write_text("{}")
    last = last_checkpoint(tmp_path, IDENTITY)
    assert last == tmp_path / "step-1000000"
    assert step_of(last) == 1000000
    assert names(tmp_path) == ["step-1000000"]
    assert last_checkpoint(tmp_path, IDENTITY) == last


def test_what_is_being_written_is_no_checkpoint_and_goes(tmp_path: Path) -> None:
    write(tmp_path, 20)
    written(tmp_path, 40)
    assert last_checkpoint(tmp_path, IDENTITY) == tmp_path / "step-000020"
    assert names(tmp_path) == ["step-000020"]


def test_sessions_write_apart_and_the_last_to_finish_stays(tmp_path: Path) -> None:
    late, now = written(tmp_path, 40, "late"), written(tmp_path, 40, "now")
    assert late != now
    finish_checkpoint(late, step=40, identity=IDENTITY)
    assert finish_checkpoint(now, step=40, identity=IDENTITY) == tmp_path / "step-000040"
    assert names(tmp_path) == ["step-000040"]


def test_a_checkpoint_of_another_run_is_never_taken(tmp_path: Path) -> None:
    write(tmp_path, 20)
    write(tmp_path, 40, identity="of a run that was overwritten")
    assert last_checkpoint(tmp_path, IDENTITY) == tmp_path / "step-000020"
    assert last_checkpoint(tmp_path, "third") is None
    assert names(tmp_path) == []


def empty(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:50])


DAMAGES: dict[str, Callable[[Path], object]] = {
    "the seal is missing": lambda path: (path / "seal.json").unlink(),
    "the seal is cut short": lambda path: cut(path / "seal.json"),
    "the seal is of something else": lambda path: (path / "seal.json").write_text("[]"),
    "the seal lacks its step": lambda path: (path / "seal.json").write_text(
        json.dumps({"identity": IDENTITY, "sizes_bytes": {}})
    ),
    "a file is missing": lambda path: (path / "engine" / "rank-1.pt").unlink(),
    "a file is cut short": lambda path: cut(path / "engine" / "rank-0.pt"),
    "the folder is empty": empty,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=list(DAMAGES))
def test_a_damaged_checkpoint_is_passed_over(
    tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    write(tmp_path, 20)
    damage(write(tmp_path, 40))
    assert last_checkpoint(tmp_path, IDENTITY) == tmp_path / "step-000020"
    assert names(tmp_path) == ["step-000020"]


def test_a_seal_names_every_file(tmp_path: Path) -> None:
    seal = json.loads((write(tmp_path, 7) / "seal.json").read_text())
    assert seal == {
        "step": 7,
        "identity": IDENTITY,
        "sizes_bytes": {"engine/rank-0.pt": 100, "engine/rank-1.pt": 101},
    }
