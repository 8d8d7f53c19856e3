"""Tests of `rayjobs.training.identity`."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from cdcore.errors import RunError
from cdcore.model.base import Base
from rayjobs.config.training import TrainJob
from rayjobs.training.identity import differences, digest
from tests.rayjobs.train_case import described


def test_a_run_is_the_same_after_a_way_through_its_file(
    plain: TrainJob, joint: TrainJob, tiny_base: Base
) -> None:
    for made in (plain, joint):
        asked = described(replace(made, learning_rate=8e-5), tiny_base)
        differences(yaml.safe_load(yaml.safe_dump(asked)), asked)


@pytest.mark.parametrize(
    "changes",
    [
        {"checkpoint_every": 1},
        {"workers": 2},
        {"sample_seeds": (5,)},
        {"cache": Path("elsewhere")},
        {"steps": 5},
        {"overwrite": True},
    ],
)
def test_what_does_not_change_the_result_so_far_may_change(
    plain: TrainJob, tiny_base: Base, changes: dict[str, Any]
) -> None:
    differences(described(plain, tiny_base), described(replace(plain, **changes), tiny_base))


@pytest.mark.parametrize(
    "changes",
    [
        {"class_noun": "dog"},
        {"modifier_token": "none"},
        {"steps": 3},
        {"rows_per_step": 6},
        {"learning_rate": 0.5},
        {"regularization_ratio": 0.0},
        {"prior_weight": 0.5},
        {"prior_weighting": "reference"},
        {"variants": 3},
        {"augment": False},
        {"flip": True},
        {"seed": 1},
        {"zero_stage": 1},
    ],
)
def test_what_changes_the_result_is_refused_by_name(
    plain: TrainJob, tiny_base: Base, changes: dict[str, Any]
) -> None:
    (name,) = changes
    with pytest.raises(RunError, match=f"{name} was .*, now .*--overwrite"):
        differences(described(plain, tiny_base), described(replace(plain, **changes), tiny_base))


def test_a_base_that_has_moved_is_the_same_base(plain: TrainJob, tiny_base: Base) -> None:
    before = described(plain, tiny_base)
    moved = before | {"base": "/tmp/a/job/s/copy"}
    differences(before, moved)
    assert digest(before) == digest(moved) == digest(before | {"steps": 9})
    assert digest(before) != digest(before | {"seed": 9})
    for other in (moved | {"base_fingerprint": "0"}, moved | {"base": "sd1.4"}):
        with pytest.raises(RunError, match="base was"):
            differences(before, other)


def test_other_pictures_are_refused_by_their_file_names(plain: TrainJob, tiny_base: Base) -> None:
    before = described(plain, tiny_base, "red", "green", "blue")
    now = described(plain, tiny_base, "red", "black")
    with pytest.raises(RunError, match=r"other pictures: 1\.png, 2\.png\)"):
        differences(before, now)


def test_under_zero_the_number_of_workers_must_stay(plain: TrainJob, tiny_base: Base) -> None:
    partitioned = replace(plain, zero_stage=2)
    with pytest.raises(RunError, match="workers was 1, now 2"):
        differences(
            described(partitioned, tiny_base), described(replace(partitioned, workers=2), tiny_base)
        )
