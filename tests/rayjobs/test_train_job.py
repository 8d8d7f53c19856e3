from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from cdcore.base import Base
from cdcore.errors import ConfigError, RunError
from cdcore.pictures import Picture
from cdcore.training_config import SubjectConfig
from rayjobs.settings import settings_of
from rayjobs.train_job import FIELD_GROUPS, TrainJob, differences, identity, resolve
from tests.rayjobs.train_case import job


@pytest.fixture
def plain(tmp_path: Path, tiny_folder: Path) -> TrainJob:
    return job(tmp_path, tiny_folder)


def pictures(*colours: str) -> list[Picture]:
    return [
        Picture.from_image(Image.new("RGB", (8, 8), colour), Path(f"{number}.png"))
        for number, colour in enumerate(colours)
    ]


def described(made: TrainJob, base: Base, *colours: str) -> dict[str, Any]:
    config = resolve(made, base)
    shown = [pictures(*colours or ("red",)) for _ in config.subjects]
    return identity(made, config, base, shown)


def test_what_is_not_set_comes_from_the_base(plain: TrainJob, tiny_base: Base) -> None:
    names = ("steps", "rows_per_step", "learning_rate", "variants", "regularization_images")
    unset: dict[str, Any] = dict.fromkeys(names)
    config = resolve(replace(plain, **unset), tiny_base)
    assert all(getattr(config, name) == getattr(tiny_base.profile, name) for name in names)
    given = resolve(replace(plain, steps=7, learning_rate=0.5), tiny_base)
    assert (given.steps, given.learning_rate) == (7, 0.5)


def test_the_token_is_the_name_s_unless_another_or_none_is_asked_for(
    plain: TrainJob, tiny_base: Base
) -> None:
    def subject(**changes: Any) -> SubjectConfig:
        (made,) = resolve(replace(plain, **changes), tiny_base).subjects
        return made

    assert subject(name="MyCat").token == "<mycat>"
    assert subject(modifier_token="<x>").token == "<x>"
    assert subject(modifier_token="none").token is None
    assert subject().initializer_token == "cat"
    assert subject(class_noun=" cat ").class_noun == "cat"


@pytest.mark.parametrize(
    "changes",
    [
        {"name": ""},
        {"name": "my cat"},
        {"name": "../cat"},
        {"name": "."},
        {"workers": 0},
        {"checkpoint_every": 0},
        {"holdout": -1},
        {"sample_seeds": ()},
        {"sample_seeds": (0, -1)},
        {"sample_seeds": (2**64,)},
    ],
)
def test_what_no_base_could_use_is_refused_by_name(
    plain: TrainJob, changes: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError, match=next(iter(changes))):
        replace(plain, **changes)


def test_no_worker_may_be_without_a_row(plain: TrainJob, tiny_base: Base) -> None:
    resolve(replace(plain, workers=5), tiny_base)
    with pytest.raises(ConfigError, match="6 workers for 5 rows_per_step"):
        resolve(replace(plain, workers=6), tiny_base)


def test_a_run_is_the_same_after_a_way_through_its_file(plain: TrainJob, tiny_base: Base) -> None:
    asked = described(replace(plain, learning_rate=8e-5), tiny_base)
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


def test_each_field_has_a_help_text_and_each_group_only_fields() -> None:
    settings = settings_of(TrainJob)
    assert all(setting.doc for setting in settings.values())
    grouped = [name for names in FIELD_GROUPS.values() for name in names]
    assert len(grouped) == len(set(grouped))
    assert set(grouped) < set(settings)
