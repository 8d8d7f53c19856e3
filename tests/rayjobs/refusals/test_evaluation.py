"""Tests of `rayjobs.refusals.evaluation`."""

from pathlib import Path

import pytest

from cdcore.errors import BaseModelError, ConfigError
from cdcore.evaluation.pocket_dataset import PocketSet
from rayjobs.config.evaluation import EvaluateJob
from rayjobs.refusals.evaluation import check_evaluation


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    PocketSet(per_kind=1, pictures=1, real=0).write(tmp_path / "set")
    return tmp_path / "set"


def test_what_can_be_evaluated_passes_and_leaves_nothing_behind(
    dataset: Path, tmp_path: Path
) -> None:
    check_evaluation(EvaluateJob(dataset=dataset, base="pocket", output=tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_missing_set_or_base_and_impossible_numbers_are_refused(
    dataset: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"dataset\.json: cannot be read"):
        check_evaluation(EvaluateJob(dataset=tmp_path, base="pocket"))
    with pytest.raises(BaseModelError, match="cannot be loaded"):
        check_evaluation(EvaluateJob(dataset=dataset, base="no/such/base"))
    with pytest.raises(ConfigError, match="drift_pictures"):
        check_evaluation(EvaluateJob(dataset=dataset, base="pocket", pictures=1, drift_pictures=2))
