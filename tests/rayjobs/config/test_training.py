from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cdcore.command_line.fields import settings_of
from cdcore.command_line.parser import parse
from cdcore.errors import ConfigError, RunError, TokenError
from cdcore.model.base import Base
from cdcore.model.profiles import PROFILES
from cdcore.pictures.picture_folder import picture_warnings, read_pictures
from cdcore.training.config import SubjectConfig
from rayjobs.config.training import FIELD_GROUPS, STAND_INS, TrainJob, configured, resolve
from rayjobs.training.identity import differences
from tests.rayjobs.train_case import CONCEPTS, described

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"


def test_what_is_not_set_comes_from_the_base(plain: TrainJob, tiny_base: Base) -> None:
    names = (
        *("steps", "rows_per_step", "learning_rate", "variants", "flip"),
        *("regularization_ratio", "regularization_images", "prior_weight"),
    )
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
    assert subject().initializer_token == "cat", "on a pocket base"
    assert subject(initializer_token="pot").initializer_token == "pot"
    assert subject(class_noun=" cat ").class_noun == "cat"


def test_each_concept_of_a_joint_job_is_a_subject(joint: TrainJob, tiny_base: Base) -> None:
    assert resolve(joint, tiny_base).subjects == (
        SubjectConfig(class_noun="cat", token="<mycat>", initializer_token="cat"),
        SubjectConfig(class_noun="chair", token="<seat>", initializer_token="table"),
    )


def test_joint_training_takes_its_own_number_of_steps(joint: TrainJob, tiny_base: Base) -> None:
    unset = replace(joint, steps=None)
    assert resolve(unset, tiny_base).steps == tiny_base.profile.joint_steps
    alone = replace(unset, concepts=CONCEPTS[:1])
    assert resolve(alone, tiny_base).steps == tiny_base.profile.steps


def test_two_concepts_of_one_name_are_refused(joint: TrainJob, tiny_base: Base) -> None:
    twice = replace(joint, concepts=(CONCEPTS[0], replace(CONCEPTS[1], name="MyCat")))
    with pytest.raises(TokenError, match="two things by <mycat>"):
        resolve(twice, tiny_base)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": "single"}, "concepts lists 2, expected 'train: joint'"),
        ({"concepts": ()}, "joint training needs concepts"),
        ({"images": Path("x")}, "images cannot stand beside concepts"),
        ({"class_noun": "x", "modifier_token": "<x>"}, "class_noun and modifier_token cannot"),
        ({"regularization": Path("x")}, "regularization cannot stand beside concepts"),
        ({"train": "single", "concepts": ()}, "images and class_noun must be given, or concepts"),
        (
            {"train": "single", "concepts": (), "class_noun": "cat"},
            "images must be given, or concepts",
        ),
    ],
)
def test_a_job_is_of_one_concept_or_of_a_list(
    joint: TrainJob, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        replace(joint, **changes)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"class_noun": "dog"}, "class_noun of concept 2 was 'chair', now 'dog'"),
        ({"modifier_token": "none"}, "modifier_token of concept 2 was '<seat>', now None"),
        ({"initializer_token": "pot"}, "initializer_token of concept 2 was 'table', now 'pot'"),
    ],
)
def test_a_change_of_one_concept_is_refused_by_its_place(
    joint: TrainJob, tiny_base: Base, change: dict[str, Any], message: str
) -> None:
    changed = replace(joint, concepts=(CONCEPTS[0], replace(CONCEPTS[1], **change)))
    with pytest.raises(RunError, match=message):
        differences(described(joint, tiny_base), described(changed, tiny_base))
    fewer = replace(joint, concepts=CONCEPTS[:1])
    with pytest.raises(RunError, match="concepts were 2, now 1"):
        differences(described(joint, tiny_base), described(fewer, tiny_base))


@pytest.mark.parametrize("file", ["demo.yaml", "joint.yaml"])
def test_the_shipped_examples_can_be_read_and_their_pictures_too(
    file: str, tiny_base: Base
) -> None:
    argv = ["--config", str(EXAMPLES / file)]
    made = parse(TrainJob, argv, prog="train.py", description="", stand_ins=STAND_INS)
    assert len(resolve(made, tiny_base).subjects) == (2 if file == "joint.yaml" else 1)
    for source in made.sources:
        shown = read_pictures(source.images)
        assert 4 <= len(shown) <= 20
        assert picture_warnings(shown, 64) == []


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


def test_each_field_has_a_help_text_and_each_group_only_fields() -> None:
    settings = settings_of(TrainJob)
    assert all(setting.doc for setting in settings.values())
    grouped = [name for names in FIELD_GROUPS.values() for name in names]
    assert len(grouped) == len(set(grouped))
    assert set(grouped) < set(settings)


def test_the_command_line_takes_a_list_of_concepts_in_place_of_one() -> None:
    argv = ["--name", "both", "--train", "joint", "--concepts", *map(str, CONCEPTS)]
    made = parse(TrainJob, argv, prog="train.py", description="", stand_ins=STAND_INS)
    assert made.sources == CONCEPTS


def test_on_stable_diffusion_tokens_start_from_rare_words_unless_others_are_asked_for(
    joint: TrainJob, plain: TrainJob
) -> None:
    def words(made: TrainJob) -> list[str]:
        subjects = configured(made, PROFILES["sd1"], lambda _: None).subjects
        return [subject.initializer_token for subject in subjects]

    assert words(plain) == ["ktn"]
    assert words(replace(plain, initializer_token="cat")) == ["cat"]
    assert words(joint) == ["ktn", "table"]
    free = replace(joint, concepts=(CONCEPTS[0], replace(CONCEPTS[1], initializer_token=None)))
    assert words(free) == ["ktn", "pll@@"]


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("reference", "--prior-weighting is 'reference', which is called 'four_to_one' now"),
        ("median", "one of mean, four_to_one"),
    ],
)
def test_the_former_name_of_a_weighting_is_answered_with_that_of_now(
    flag: str, message: str
) -> None:
    argv = ["--images", "x", "--class-noun", "cat", "--name", "x", "--prior-weighting", flag]
    with pytest.raises(ConfigError, match=message):
        parse(TrainJob, argv, prog="train.py", description="", stand_ins=STAND_INS)
