"""Tests of `rayjobs.cluster.autoscaler`: autoscalers here add processes of this machine."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from rayjobs.cluster.autoscaler import can_grow
from tests.ray_head import PATIENCE_S, Head

ROOT = Path(__file__).resolve().parents[3]
DRIVER = """
import time
from rich.console import Console
from rayjobs.cluster.autoscaler import can_grow
from raycluster.connection import connected
from rayjobs.cluster.scaling import scaling

with connected():
    # It tells of itself once a second.
    deadline = time.monotonic() + 60
    while not can_grow() and time.monotonic() < deadline:
        time.sleep(0.5)
    print(scaling(1, Console(width=200), gpus=%s).resources_per_worker)
"""


def test_a_job_s_own_cluster_does_not_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert not can_grow()


@pytest.mark.ray
@pytest.mark.parametrize(
    ("is_new", "adds", "gpus", "told"),
    [(True, {"CPU": 1, "GPU": 1}, True, "0 GPU of 1"), (False, {"CPU": 2}, None, "0 CPU of 1")],
)
def test_a_head_without_cpus_is_asked_for_what_its_autoscaler_adds(
    is_new: bool, adds: dict[str, float], gpus: bool | None, told: str, tmp_path: Path
) -> None:
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as sessions:
        python = Path(sys.executable)
        head = Head(python, tmp_path, Path(sessions), cpus=0, adds=adds, is_new=is_new)
        try:
            done = subprocess.run(
                [sys.executable, "-c", DRIVER % gpus],
                cwd=tmp_path,
                env=os.environ
                | {"RAY_ADDRESS": head.address, "PYTHONPATH": str(ROOT)}
                | head.token,
                capture_output=True,
                text=True,
                timeout=PATIENCE_S,
                check=False,
            )
        finally:
            head.stop()
    assert (done.returncode, done.stderr) == (0, "")
    note, resources = done.stdout.splitlines()
    assert told in note
    # Ray is slow to say that a node which has just come is free.
    assert resources in (["None"] if gpus else ["{'CPU': 1}", "{'CPU': 2}"])
