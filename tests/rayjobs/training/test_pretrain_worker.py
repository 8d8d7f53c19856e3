"""Tests of `rayjobs.training.pretrain_worker`, with stand-ins for Ray Train's answers."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import ray.train
import ray.train.torch
import torch
from torch import distributed as dist

from cdcore.pocket.pretraining.piece import Piece, completed_steps
from cdcore.pocket.pretraining.stage_names import STAGES
from cdcore.pocket.pretraining.stages import STAGE_CLASSES
from rayjobs.runs.run_directory import RunDirectory
from rayjobs.training import pretrain_worker as module
from rayjobs.training.pretrain_worker import SAMPLES_FILE, pretrain_worker


@pytest.fixture(autouse=True)
def only_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One process that takes itself for the first of one worker."""
    for kind in STAGE_CLASSES.values():
        monkeypatch.setattr(kind, "batch", 6)
    context = SimpleNamespace(get_local_rank=lambda: 0)
    monkeypatch.setattr(ray.train, "get_context", lambda: context)
    monkeypatch.setattr(ray.train.torch, "get_device", lambda: torch.device("cpu"))
    dist.init_process_group(
        "gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1
    )
    yield
    dist.destroy_process_group()


@pytest.fixture
def phases(monkeypatch: pytest.MonkeyPatch) -> list[dict]:
    """What the driver could read, write by write."""
    written: list[dict] = []
    monkeypatch.setattr(module, "write_text", lambda _, text: written.append(json.loads(text)))
    return written


def piece_in(tmp_path: Path) -> Piece:
    return Piece(
        folder=tmp_path / "base",
        work=tmp_path / "work",
        stages=("towers",),
        steps=dict.fromkeys(STAGES, 1),
        pictures=16,
    )


def work_on(piece: Piece) -> bool:
    with torch.random.fork_rng():
        return pretrain_worker({"piece": piece, "notes": RunDirectory(piece.folder / ".run")})


def test_all_stages_run_and_end_with_samples(tmp_path: Path, phases: list[dict]) -> None:
    piece = replace(piece_in(tmp_path), stages=STAGES)
    assert work_on(piece)
    assert completed_steps(piece.folder) == dict.fromkeys(STAGES, 1)
    assert (piece.folder / SAMPLES_FILE).is_file()
    names = [phase["phase"] for phase in phases]
    prepared = [name for stage in STAGES for name in (f"preparing {stage}", stage)]
    assert names == ["drawing pictures", *prepared, "sampling", "sampling"]
    for phase in phases:
        assert ("loss" in phase["figures"]) == (phase["phase"] in STAGES)


def test_an_incomplete_base_has_no_samples(tmp_path: Path) -> None:
    piece = piece_in(tmp_path)
    assert work_on(piece)
    assert completed_steps(piece.folder) == {"towers": 1}
    assert not (piece.folder / SAMPLES_FILE).exists()
    phase = json.loads((piece.folder / ".run" / "phase.json").read_text())
    assert (phase["phase"], phase["done"], phase["total"]) == ("towers", 1, 1)


def test_no_stage_begins_after_one_that_ran_out_of_time(tmp_path: Path, phases: list[dict]) -> None:
    piece = replace(piece_in(tmp_path), stages=("towers", "judge"), seconds=1e-9)
    assert not work_on(piece)
    assert completed_steps(piece.folder) == {"towers": 0}
    assert phases[-1]["phase"] == "preparing towers"
