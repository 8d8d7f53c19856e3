"""Tests of `rayjobs.training.pretrain_driver`."""

from pathlib import Path

import pytest

from cdcore.errors import ConfigError, RunError
from rayjobs.config.pretraining import PretrainJob
from rayjobs.training.pretrain_driver import run


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
