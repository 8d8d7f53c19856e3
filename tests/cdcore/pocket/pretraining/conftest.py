"""A base whose every stage was opened and saved at once, and where its world is kept."""

from pathlib import Path

import pytest

from cdcore.pocket.pretraining.stage_names import STAGES
from tests.cdcore.pocket.pretraining.stage_case import opened


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the pictures of the stages' worlds are kept."""
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory, work: Path) -> Path:
    """A base whose every stage was opened and saved at once, untrained."""
    folder = tmp_path_factory.mktemp("base")
    for name in STAGES:
        stage = opened(name, folder, work)
        stage.save(stage.module, folder)
    return folder
