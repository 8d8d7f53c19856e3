"""An untrained pocket base, for what needs all its parts and no good pictures."""

from pathlib import Path

import pytest

from cdcore.pocket.pretraining.stage_names import STAGES
from cdcore.pocket.pretraining.stages import open_stage

_PICTURES = 16


@pytest.fixture(scope="session")
def untrained_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every stage opened and saved at once; not to be written to."""
    folder = tmp_path_factory.mktemp("untrained")
    work = tmp_path_factory.mktemp("untrained-work")
    for name in STAGES:
        stage = open_stage(name, folder, work, _PICTURES, 0, "cpu")
        stage.save(stage.module, folder)
    return folder
