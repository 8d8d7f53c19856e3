"""Tests of `rayjobs.refusals.evaluation`."""

import json
from dataclasses import replace
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


def test_names_that_together_are_too_long_are_refused(dataset: Path, tmp_path: Path) -> None:
    for file in ("dataset.json", "dataset_multiconcept.json"):
        lists = json.loads((dataset / file).read_text())
        for entry in lists:
            for part in entry[:2] if isinstance(entry, list) else [entry]:
                images = dataset / part["instance_data_dir"]
                longer = images.with_name(images.name.ljust(150, "x"))
                if images.is_dir():
                    images.rename(longer)
                part["instance_data_dir"] = str(longer)
        (dataset / file).write_text(json.dumps(lists))
    job = EvaluateJob(dataset=dataset, base="pocket", sections=("single",), output=tmp_path / "out")
    check_evaluation(job)
    with pytest.raises(ConfigError, match="has 301 bytes, and a name on this disk at most 255"):
        check_evaluation(replace(job, sections=("pair",)))
