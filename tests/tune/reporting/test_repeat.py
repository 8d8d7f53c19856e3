import subprocess
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from cdcore.command_line.parser import parse
from cdcore.model.base import Base
from rayjobs.config.concept_source import ConceptSource
from rayjobs.config.training import STAND_INS, TrainJob, resolve
from rayjobs.training.identity import identity
from tests.rayjobs.train_case import job
from tune.reporting.repeat import repeat_command, write_repeat

JOINT: dict[str, Any] = {
    "images": None,
    "class_noun": None,
    "train": "joint",
    "concepts": (
        ConceptSource(images=Path("a"), class_noun="cat"),
        ConceptSource(images=Path("b"), class_noun="chair", name="seat"),
    ),
}


@pytest.mark.parametrize("changes", [{}, {"modifier_token": "none", "augment": False}, JOINT])
def test_the_command_trains_what_the_trial_was(
    tiny_base: Base, tiny_folder: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    given = job(tmp_path, tiny_folder, **{"holdout": 1, "registry": "concepts"} | changes)
    varied = replace(resolve(given, tiny_base), learning_rate=0.0012345678901234, seed=3)
    path = tmp_path / "with a space" / "best.yaml"
    write_repeat(path, given, asdict(varied))
    command = repeat_command(path)
    assert path.read_text().startswith(f"# {command}\n")
    assert command.endswith(f"--config '{path}'")
    made = parse(
        TrainJob, ["--config", str(path)], prog="train.py", description="", stand_ins=STAND_INS
    )
    again = resolve(made, tiny_base)
    pictures: list[Any] = [[] for _ in again.subjects]
    assert identity(made, again, tiny_base, pictures) == identity(
        given, varied, tiny_base, pictures
    )
    assert all(source.images.is_absolute() for source in made.sources)
    assert (made.holdout, made.registry) == (1, None)


def test_the_command_is_one_line_that_a_shell_reads_whatever_the_folder_is_called(
    tiny_base: Base, tiny_folder: Path, tmp_path: Path
) -> None:
    given = job(tmp_path, tiny_folder)
    for name in ("line\nbreak", "a 'b' \\n\x1b[31m\n%20#?"):
        path = tmp_path / name / "best.yaml"
        write_repeat(path, given, asdict(resolve(given, tiny_base)))
        command = repeat_command(path)
        assert command.isprintable()
        assert path.read_text().splitlines()[0] == f"# {command}"
        words = command.removeprefix("python rayjobs/train.py --config ")
        shown = subprocess.run(
            ["bash", "-c", f"printf %s {words}"], capture_output=True, check=True, text=True
        )
        assert shown.stdout == str(path)
