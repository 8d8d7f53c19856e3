import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdcore.concepts.subject import Subject
from cdcore.errors import ConfigError, TokenError
from cdcore.model.profiles import PROFILES
from cdcore.training.config import TrainingConfig
from tests.cdcore.training_case import CAT, CHAIR, config


@given(st.integers(1, 64), st.floats(0, 8))
def test_the_rows_of_a_step_are_shared_by_the_ratio(rows: int, ratio: float) -> None:
    try:
        made = config(rows_per_step=rows, regularization_ratio=ratio)
    except ConfigError:
        assert round(rows * ratio / (1 + ratio)) == rows
        return
    assert made.target_rows >= 1
    assert made.target_rows + made.regularization_rows == rows
    assert made.regularization_rows == pytest.approx(rows * ratio / (1 + ratio), abs=0.5 + 1e-9)


def test_a_ratio_of_one_halves_a_step_and_zero_leaves_only_targets() -> None:
    assert config(rows_per_step=8).target_rows == 4
    alone = config(rows_per_step=8, regularization_ratio=0, regularization_images=0)
    assert (alone.target_rows, alone.regularization_rows) == (8, 0)


def test_the_prompts_name_the_concept_by_its_token_and_the_class_without() -> None:
    assert CAT.instance_prompt == "photo of a <mycat> cat"
    assert CAT.class_prompt == "photo of a cat"
    assert replace(CAT, token=None).instance_prompt == "photo of a cat"


def test_a_concept_file_is_told_the_words_of_a_subject_only() -> None:
    assert CAT.plain == Subject(class_noun="cat", token="<mycat>")


def test_only_the_weighting_of_the_diffusers_scripts_lifts_target_rows() -> None:
    assert config().target_weight == 1
    assert config(prior_weighting="four_to_one").target_weight == 4


@pytest.mark.parametrize(
    "changes",
    [
        {"steps": 0},
        {"rows_per_step": 0},
        {"variants": 0},
        {"seed": -1},
        {"learning_rate": 0.0},
        {"learning_rate": 1.0},
        {"learning_rate": math.nan},
        {"regularization_ratio": -0.1},
        {"regularization_ratio": math.inf},
        {"prior_weight": -1.0},
        {"prior_weight": math.nan},
        {"regularization_images": 0},
        {"rows_per_step": 1, "regularization_ratio": 2.0},
    ],
)
def test_an_impossible_value_is_refused_by_name(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(changes))) as caught:
        config(**changes)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("token", ["mycat", "<my cat>", "<>", "<MyCat>", "<a>b", "<größe>"])
def test_a_token_that_no_prompt_could_name_is_refused(token: str) -> None:
    with pytest.raises(TokenError, match="angle brackets"):
        replace(CAT, token=token)


@pytest.mark.parametrize(
    ("changes", "name"), [({"class_noun": "dog"}, "<mycat>"), ({"token": None}, "cat")]
)
def test_two_subjects_of_one_name_are_refused(changes: dict[str, Any], name: str) -> None:
    first = replace(CAT, token=changes.get("token", CAT.token))
    with pytest.raises(TokenError, match=f"two things by {name}; give each"):
        config(subjects=(first, replace(CAT, **changes)))
    config(subjects=(first, replace(CAT, token="<other>")))


def test_nothing_to_teach_is_refused() -> None:
    with pytest.raises(ConfigError, match="nothing to teach"):
        config(subjects=())


def test_what_is_not_asked_for_is_the_bases_own() -> None:
    profile = PROFILES["pocket"]
    one = TrainingConfig.of_profile(profile, name="mycat", subjects=(CAT,), learning_rate=None)
    assert (one.steps, one.learning_rate) == (profile.steps, profile.learning_rate)
    assert (one.flip, one.augment, one.seed) == (profile.flip, True, 0)
    several = TrainingConfig.of_profile(profile, name="both", subjects=(CAT, CHAIR))
    assert several.steps == profile.joint_steps


def test_what_is_asked_for_wins_also_where_it_is_nothing() -> None:
    asked = {"regularization_ratio": 0.0, "flip": True, "augment": False, "steps": 7}
    made = TrainingConfig.of_profile(PROFILES["pocket"], name="mycat", subjects=(CAT,), **asked)
    assert {field: getattr(made, field) for field in asked} == asked
