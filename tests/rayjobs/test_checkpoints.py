import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from rayjobs.checkpoints import last_checkpoint, seal, step_of


def write(folder: Path, step: int, workers: int = 2) -> Path:
    """Write a checkpoint as the workers of a run do, merged into one folder."""
    checkpoint = folder / f"step-{step:06d}"
    for worker in range(workers):
        part = folder / f"part-of-{worker}"
        (part / "engine").mkdir(parents=True)
        (part / "engine" / f"rank-{worker}.pt").write_bytes(bytes(100 + worker))
        seal(part, step=step, worker=worker, workers=workers)
        shutil.copytree(part, checkpoint, dirs_exist_ok=True)
        shutil.rmtree(part)
    return checkpoint


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_run_that_has_saved_nothing_has_no_checkpoint(tmp_path: Path) -> None:
    assert last_checkpoint(tmp_path / "missing") is None
    assert not (tmp_path / "missing").exists()
    (tmp_path / "checkpoint_manager_snapshot.json").write_text('{"ray_version": "')
    assert last_checkpoint(tmp_path) is None
    assert names(tmp_path) == []


def test_the_last_complete_checkpoint_is_taken_and_the_rest_goes(tmp_path: Path) -> None:
    for step in (5, 20, 100):
        write(tmp_path, step)
    (tmp_path / "checkpoint_manager_snapshot.json").write_text("{}")
    last = last_checkpoint(tmp_path)
    assert last == tmp_path / "step-000100"
    assert step_of(last) == 100
    assert names(tmp_path) == ["step-000100"]
    assert last_checkpoint(tmp_path) == last


def empty(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:50])


DAMAGES: dict[str, Callable[[Path], object]] = {
    "a part is missing": lambda path: (path / "part-1.json").unlink(),
    "the first part is missing": lambda path: (path / "part-0.json").unlink(),
    "a part is cut short": lambda path: cut(path / "part-1.json"),
    "a part is of something else": lambda path: (path / "part-1.json").write_text("[]"),
    "a file is missing": lambda path: (path / "engine" / "rank-1.pt").unlink(),
    "a file is cut short": lambda path: cut(path / "engine" / "rank-0.pt"),
    "the folder is empty": empty,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=list(DAMAGES))
def test_a_checkpoint_that_was_cut_short_is_passed_over(
    tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    write(tmp_path, 20)
    damage(write(tmp_path, 40))
    assert last_checkpoint(tmp_path) == tmp_path / "step-000020"
    assert names(tmp_path) == ["step-000020"]


def test_a_seal_names_every_file_of_the_part(tmp_path: Path) -> None:
    checkpoint = write(tmp_path, 7, workers=1)
    part = json.loads((checkpoint / "part-0.json").read_text())
    assert part == {"step": 7, "workers": 1, "sizes_bytes": {"engine/rank-0.pt": 100}}
