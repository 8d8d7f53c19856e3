"""Tests of `rayjobs.pretrain`."""

import subprocess
import sys
from pathlib import Path

import pytest

from cdcore.pocket.__main__ import main as begin
from cdcore.pocket.pretraining.piece import completed_steps
from rayjobs.config.pretraining import PretrainJob
from rayjobs.training.pretrain_driver import run

ROOT = Path(__file__).resolve().parents[2]


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
    begin([*begun, "--stages", "towers", "--steps", "1", "--device", "cpu"])
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
