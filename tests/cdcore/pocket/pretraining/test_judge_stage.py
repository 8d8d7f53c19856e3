"""Tests of `cdcore.pocket.pretraining.judge_stage`."""

from pathlib import Path

from cdcore.pocket.pretraining.album import open_album
from tests.cdcore.pocket.pretraining.stage_case import PICTURES, opened


def test_the_judge_learns_from_another_world_than_the_base(folder: Path, work: Path) -> None:
    opened("judge", folder, work)
    albums = {path.name for path in work.glob("album-*.npy")}
    assert len(albums) >= 2
    assert f"{open_album(work, seed=0, count=PICTURES).name}.npy" in albums
