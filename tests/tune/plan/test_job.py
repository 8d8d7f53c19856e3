from pathlib import Path
from typing import Any

import pytest

from cdcore.command_line.fields import settings_of
from cdcore.command_line.parser import parse
from cdcore.errors import ConfigError
from cdcore.scoring.before_after import PROMPTS
from rayjobs.config.training import STAND_INS
from tests.rayjobs.train_case import job
from tune.plan.job import FIELD_GROUPS, SweepJob


def sweep(**changes: Any) -> SweepJob:
    given = job(Path("/x"), "pocket")
    settings = {name: getattr(given, name) for name in given.__slots__}
    return SweepJob(**settings | {"search": ("steps=2,4", "seed=0,1,2")} | changes)


def test_what_does_not_vary_is_a_training_job() -> None:
    assert sweep(learning_rate=0.25).training == job(Path("/x"), "pocket", learning_rate=0.25)


def test_all_prompts_are_scored_unless_fewer_are_asked_for() -> None:
    assert sweep().score_prompts == len(PROMPTS)


def test_every_optional_setting_has_its_place_in_the_help() -> None:
    placed = [name for names in FIELD_GROUPS.values() for name in names]
    assert len(placed) == len(set(placed))
    assert set(settings_of(SweepJob)) - set(placed) == {"images", "class_noun", "name", "base"}
    assert all(setting.doc for setting in settings_of(SweepJob).values())


def test_a_grid_has_as_many_trials_as_points() -> None:
    assert sweep(method="grid").trial_count == 6
    assert sweep(method="grid", trials=6).trial_count == 6
    assert sweep().trial_count == 16
    assert sweep(trials=3).trial_count == 3
    with pytest.raises(ConfigError, match="trials is 4, but the grid has 6 points"):
        sweep(method="grid", trials=4)
    with pytest.raises(ConfigError, match="seed is a range"):
        sweep(method="grid", search=("seed=0..9",))


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"search": ()}, "search is empty"),
        ({"trials": 0}, "trials is 0, expected 1 or more"),
        ({"concurrent": 0}, "concurrent is 0"),
        ({"keep": 1}, "keep is 1, expected 2 or more"),
        ({"score_every": 0}, "score_every is 0"),
        ({"score_prompts": 7}, "score_prompts is 7, expected from 1 to 6"),
        ({"score_seeds": 2}, "score_seeds is 2, expected from 1 to 1"),
        ({"text_floor": 2.0}, "text_floor is 2.0"),
        ({"export": "peft"}, "export is set"),
        ({"search_seed": -1}, "search_seed is -1"),
        ({"workers": 0}, "workers is 0"),
    ],
)
def test_impossible_settings_are_refused(changes: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        sweep(**changes)


def test_the_example_is_a_sweep() -> None:
    example = Path(__file__).parents[3] / "examples" / "sweep.yaml"
    made = parse(
        SweepJob,
        ["--config", str(example), "--output", "/somewhere"],
        prog="sweep.py",
        description="",
        groups=FIELD_GROUPS,
        stand_ins=STAND_INS,
    )
    assert made.folder == Path("/somewhere") / f"{made.name}-sweep"
    assert {dimension.field for dimension in made.space} >= {
        "learning_rate",
        "regularization_ratio",
        "prior_weight",
    }
    assert made.images is not None
    assert made.images.is_dir()
