"""Stages with small batches on a small album."""

from pathlib import Path

import pytest

from cdcore.pocket.pretraining.stage_names import STAGES
from cdcore.pocket.pretraining.stages import STAGE_CLASSES
from tests.cdcore.pocket.pretraining.case import BATCH, opened


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in STAGE_CLASSES.values():
        monkeypatch.setattr(kind, "batch", BATCH)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, work: Path) -> Path:
    """A base whose every stage was opened and saved at once, untrained."""
    folder = tmp_path_factory.mktemp("base")
    for name in STAGES:
        stage = opened(name, folder, work)
        stage.save(stage.module, folder)
    return folder
