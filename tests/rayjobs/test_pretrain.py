"""Tests of `rayjobs.pretrain`."""

import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from cdcore.errors import ConfigError, RunError
from cdcore.pocket.__main__ import main as begin
from cdcore.pocket.pretraining.pretrain import Piece, completed_steps
from cdcore.pocket.pretraining.stage_names import STAGES
from rayjobs.config.pretraining import PretrainJob
from rayjobs.training.pretrain_driver import run

ROOT = Path(__file__).resolve().parents[2]


def test_the_defaults_are_those_of_a_piece_of_pretraining() -> None:
    job, piece = PretrainJob(), {field.name: field.default for field in fields(Piece)}
    for name in ("stages", "seconds", "steps", "pictures", "seed"):
        assert getattr(job, name) == piece[name]
    assert job.stages == STAGES


def test_bad_input_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="workers is 0"):
        PretrainJob(workers=0)
    output = tmp_path / "base"
    with pytest.raises(ConfigError, match="builds on"):
        run(PretrainJob(output=output, stages=("unet",)))
    assert not output.exists()
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(RunError, match="no base in progress"):
        run(PretrainJob(output=tmp_path))


def test_the_script_runs_from_a_checkout_and_says_what_is_wrong(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "rayjobs" / "pretrain.py"), "--stages", "tower"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: --stages is ['tower'], expected a list")
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.ray
def test_two_workers_continue_what_was_begun_without_a_cluster(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base, cache = tmp_path / "base", tmp_path / "cache"
    begun = ["--output", str(base), "--cache", str(cache), "--pictures", "16"]
    assert begin([*begun, "--stages", "towers", "--steps", "1", "--device", "cpu"]) == 0
    weights = (base / "text_projection.safetensors").read_bytes()
    capsys.readouterr()

    job = PretrainJob(
        output=base,
        cache=cache,
        stages=("towers",),
        pictures=16,
        workers=2,
        device="cpu",
        steps=2,
    )
    assert run(job)
    assert completed_steps(base) == {"towers": 2}
    assert (base / "text_projection.safetensors").read_bytes() != weights
    out = capsys.readouterr().out
    assert "towers 2/2 loss" in out
    assert "completed steps: towers 2" in out
    left = {path.name for path in base.iterdir()}
    assert not left & {".run", "samples.png"}
