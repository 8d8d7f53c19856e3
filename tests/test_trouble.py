"""What a training job does on a disk that is full, and in folders that it may not write."""

import ctypes
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rayjobs.config.training import TrainJob
from rayjobs.runs.run_directory import RunDirectory
from tests.rayjobs.train_case import flags, job, write_pictures

TRAIN = Path(__file__).resolve().parent.parent / "rayjobs" / "train.py"
PICTURES = TRAIN.parent.parent / "examples" / "mycat"


@pytest.fixture
def plain(tmp_path: Path, tiny_folder: Path) -> TrainJob:
    write_pictures(tmp_path / "images", 4)
    return job(tmp_path, tiny_folder, steps=40)


def on_a_small_disk(folder: Path, size: str) -> list[str]:
    """Return what starts a command that sees a disk of its own in the place of a folder."""
    script = f'mount -t tmpfs -o size={size} small "{folder}" && exec "$@"'
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh"]


def can_mount(folder: Path) -> bool:
    try:
        command = [*on_a_small_disk(folder, "1m"), "true"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@pytest.mark.ray
def test_a_full_disk_is_one_line_and_leaves_nothing_half_written(
    plain: TrainJob, tmp_path: Path
) -> None:
    disk, left = tmp_path / "disk", tmp_path / "left"
    disk.mkdir()
    if not can_mount(disk):
        pytest.skip("needs the right to mount a small disk")
    full = replace(plain, output=disk / "runs")
    # Only processes inside see that disk, and it goes with the last of them.
    kept = f'"$@"; status=$?; cp -r "{disk}/runs" "{left}"; exit $status'
    train = [sys.executable, str(TRAIN), *flags(full)]
    done = subprocess.run(
        [*on_a_small_disk(disk, "400k"), "sh", "-c", kept, "sh", *train],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=1500,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: ")
    assert "No space left on device" in done.stderr
    assert done.stderr.count("\n") == 1
    run = RunDirectory(left / full.name)
    assert run.read_summary()["status"] == "failed"
    assert "No space left" in run.read_summary()["error"]
    assert not list(run.checkpoints.glob(".*"))
    assert not run.concept_file.exists()


def obey_permissions() -> None:
    """Take from root, at the next start of a program, the right to write everywhere."""
    drop, capabilities = 24, (1, 2)
    for capability in capabilities:
        ctypes.CDLL(None).prctl(drop, capability, 0, 0, 0)


@pytest.mark.slow
@pytest.mark.parametrize("what", ["output", "cache", "registry"])
def test_a_folder_that_may_not_be_written_is_one_line_before_the_start(
    plain: TrainJob, tmp_path: Path, what: str
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    closed.chmod(0o555)
    place: Any = str(closed / "x") if what == "registry" else closed / "x"
    done = subprocess.run(
        [sys.executable, str(TRAIN), *flags(replace(plain, **{what: place}))],
        cwd=tmp_path,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
        preexec_fn=obey_permissions,
    )
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    if what == "registry":
        assert done.stderr == f"error: {closed / 'x'}: Permission denied\n"
    else:
        reason = f"{closed} is not writable; choose another folder"
        assert done.stderr == f"error: --{what} {closed / 'x'}: {reason}\n"
    assert not list(closed.iterdir())
    assert not plain.output.exists()


NAMELESS = ["unshare", "--user", "--map-user=12345", "--map-group=12345"]
"""What starts a command as a user whom the system does not know, as containers do."""


@pytest.mark.slow
@pytest.mark.parametrize("program", ["rayjobs.train", "rayjobs.pretrain", "serve"])
@pytest.mark.parametrize("has_cache", [False, True])
def test_a_user_without_a_name_and_a_home_is_told_so_in_one_line(
    program: str, has_cache: bool, tmp_path: Path
) -> None:
    if subprocess.run([*NAMELESS, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("needs the right to become another user")
    environment = {name: text for name, text in os.environ.items() if name != "HOME"}
    places = ["--cache", str(tmp_path / "cache")] if has_cache and program != "serve" else []
    concept = ["--images", str(PICTURES), "--class-noun", "cat", "--name", "mycat"]
    base = ["--base", "pocket", "--output", str(tmp_path / "runs")]
    arguments = {
        "rayjobs.train": [*concept, *base],
        "rayjobs.pretrain": ["--output", str(tmp_path / "base")],
        "serve": ["--registry", str(tmp_path / "concepts")],
    }[program]
    done = subprocess.run(
        [*NAMELESS, sys.executable, "-m", program, *arguments, *places],
        cwd=TRAIN.parent.parent,
        env=environment,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: ")
    assert "set HOME" in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
