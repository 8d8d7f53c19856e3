"""Tests of `cdcore.pocket.pretraining.pretrain`."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cdcore.pocket.pretraining import pretrain as pretraining
from cdcore.pocket.pretraining.piece import Piece, completed_steps
from cdcore.pocket.pretraining.pretrain import StepReport, pretrain
from cdcore.pocket.pretraining.stage import Stage
from cdcore.pocket.pretraining.stage_names import STAGES, StageName
from cdcore.pocket.pretraining.stages import STAGE_CLASSES


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in STAGE_CLASSES.values():
        monkeypatch.setattr(kind, "batch", 6)


def run(piece: Piece) -> tuple[bool, list[StepReport]]:
    reports: list[StepReport] = []
    with torch.random.fork_rng():
        finished = pretrain(piece, reports.append)
    return finished, reports


def planned(steps: int) -> dict[StageName, int]:
    return dict.fromkeys(STAGES, steps)


def small_piece(folder: Path) -> Piece:
    return Piece(folder=folder / "base", work=folder / "work", pictures=64, steps=planned(2))


@pytest.mark.slow
def test_all_stages_run_store_and_go_on_to_a_later_end(tmp_path: Path) -> None:
    piece = small_piece(tmp_path)
    assert completed_steps(piece.folder) == {}
    finished, reports = run(piece)
    assert finished
    assert [(report.stage, report.step) for report in reports] == [
        (name, step) for name in STAGES for step in (1, 2)
    ]
    assert all(math.isfinite(report.loss) and report.steps == 2 for report in reports)
    assert completed_steps(piece.folder) == planned(2)
    assert run(piece) == (True, []), "nothing is left to do"

    finished, reports = run(replace(piece, steps=planned(3)))
    assert finished
    assert [(report.stage, report.step) for report in reports] == [(name, 3) for name in STAGES]
    assert completed_steps(piece.folder) == planned(3)


def test_a_piece_stops_when_its_time_is_over_and_says_so(tmp_path: Path) -> None:
    piece = replace(small_piece(tmp_path), stages=("towers",), seconds=-1.0)
    assert run(piece) == (False, [])
    assert completed_steps(piece.folder) == {"towers": 0}
    finished, reports = run(replace(piece, seconds=None))
    assert finished
    assert [report.step for report in reports] == [1, 2]


def test_the_same_piece_gives_the_same_losses(tmp_path: Path) -> None:
    losses = []
    for name in ("one", "two"):
        folder = tmp_path / name
        piece = replace(small_piece(folder), stages=("towers",), work=tmp_path / "work")
        losses.append([report.loss for report in run(piece)[1]])
    assert losses[0] == losses[1]
    assert losses[0][0] != losses[0][1]


def test_every_piece_warms_up_once_and_then_decays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pretraining, "_WARM_UP_STEPS", 3)
    build = pretraining._optimizers
    rates: list[float] = []

    def observed(stage: Stage) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
        optimizers = build(stage)
        full = optimizers[0].param_groups[0]["lr"]
        optimizers[0].register_step_pre_hook(
            lambda optimizer, *_: rates.append(optimizer.param_groups[0]["lr"] / full)
        )
        return optimizers

    monkeypatch.setattr(pretraining, "_optimizers", observed)
    piece = replace(small_piece(tmp_path), stages=("towers",), steps=planned(8))
    run(piece)
    assert rates[0] == pytest.approx(1 / 3)
    assert rates[1] > 1.9 * rates[0]
    assert rates[2] > 0.8, "a piece must leave its warm-up behind"
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert rates[-1] < 0.15

    before = len(rates)
    run(replace(piece, steps=planned(16)))
    assert rates[before] < 0.2 < rates[before + 1], "half way through the cosine, warming up"
    assert rates[before + 2] > 0.3
    assert rates[before + 2 :] == sorted(rates[before + 2 :], reverse=True)
