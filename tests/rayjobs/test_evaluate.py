"""The evaluation as a user starts it: a cluster of its own, a kill in the middle."""

import json
import sys
from pathlib import Path

import pytest

from cdcore.command_line.parser import run_command
from rayjobs import evaluate
from tests.rayjobs.evaluate_case import job
from tests.rayjobs.forked_script import ForkedScript
from tests.rayjobs.train_case import flags


@pytest.mark.ray
def test_killed_in_the_middle_it_goes_on_from_the_finished_cells(
    tiny_folder: Path, tmp_path: Path
) -> None:
    # Calls of one cell each, so that there is a middle.
    made = job(tmp_path, tiny_folder, workers=2, pictures=17, drift_pictures=1, prompts=2, limit=1)
    cells = made.output / "cells"

    def done() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in cells.rglob("[!.]*.safetensors")}

    script = ForkedScript("rayjobs.evaluate", *flags(made), folder=tmp_path)
    script.wait_until(lambda: len(done()) >= 3)
    script.kill_all()
    before = done()
    assert not (made.output / "evaluation.json").exists()
    out = ForkedScript("rayjobs.evaluate", *flags(made), folder=tmp_path).succeed()
    after = done()
    assert len(after) > len(before)
    assert {path: after[path] for path in before} == before
    assert f"{len(after)} cells, {len(before)} of them done" in out
    figures = json.loads((made.output / "evaluation.json").read_text())
    methods = [(one["section"], one["method"]) for one in figures["methods"]]
    assert methods == [
        *(("single", name) for name in ("base", "single")),
        *(("pair", name) for name in ("base", "joint", "constrained", "ridge", "sum", "masked")),
    ]
    assert "merge, masked" in out
    for name in ("evaluation.md", "grid-single.png", "grid-pair.png"):
        assert (made.output / name).is_file()


def test_bad_input_ends_with_one_line_and_without_a_cluster(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "argv", ["evaluate.py", "--dataset", str(tmp_path)])
    with pytest.raises(SystemExit) as caught:
        run_command(evaluate.main)
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {tmp_path / 'dataset.json'}: cannot be read")
    assert error.count("\n") == 1
