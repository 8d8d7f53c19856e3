"""Tests of `rayjobs.training.identity`."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from cdcore.errors import RunError
from cdcore.model.base import Base
from cdcore.training.captioned_pictures import CaptionedPicture
from rayjobs.config.training import TrainJob, resolve
from rayjobs.training.identity import as_begun, differences, digest, identity
from tests.rayjobs.train_case import described, pictures


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
        {"prior_weighting": "four_to_one"},
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


def captioned(*captions: str, colour: str = "red") -> list[CaptionedPicture]:
    (picture,) = pictures(colour)
    return [CaptionedPicture(picture=picture, caption=caption) for caption in captions]


def test_pictures_of_the_class_and_their_captions_are_part_of_it(
    joint: TrainJob, tiny_base: Base
) -> None:
    config = resolve(joint, tiny_base)
    shown = [pictures("red")] * 2

    def asked(*brought: list[CaptionedPicture]) -> dict[str, Any]:
        return identity(joint, config, tiny_base, shown, brought)

    assert asked() == asked([], []), "with generated ones as it was before there were others"
    first = asked(captioned("a cat", "cats"), [])
    differences(first, asked(captioned("a cat", "cats"), []))
    others: list[list[CaptionedPicture]] = [
        *([], captioned("cats", "a cat"), captioned("a cat"), captioned("a cat", "dogs")),
        captioned("a cat", "cats", colour="blue"),
    ]
    for other in others:
        now = asked(other, [])
        assert digest(now) != digest(first)
        with pytest.raises(RunError, match="regularization of concept 1 was '2 captioned pict"):
            differences(first, now)
    with pytest.raises(RunError, match=r"regularization of concept 2 was None, now '1 captioned"):
        differences(first, asked(captioned("a cat", "cats"), captioned("a chair")))


def test_a_run_keeps_the_words_that_its_tokens_started_from(
    plain: TrainJob, joint: TrainJob, tiny_base: Base
) -> None:
    """Runs of earlier versions began at the class noun on every base."""
    profile = replace(tiny_base.profile, initializer_tokens=("ktn", "ucd"))
    base = replace(tiny_base, profile=profile)
    for made in (plain, joint):
        before, now = described(made, tiny_base), described(made, base)
        assert before != now
        assert described(as_begun(made, before), base) == before
        differences(before, described(as_begun(made, before), base))
        assert described(as_begun(made, None), base) == now


def test_what_the_user_says_of_them_stands(plain: TrainJob, joint: TrainJob) -> None:
    stored = {"concepts": [{"initializer_token": "pot"}, {"initializer_token": "barn"}]}
    words = [source.initializer_token for source in as_begun(joint, stored).sources]
    assert words == ["pot", "table"]
    asked = replace(plain, initializer_token="ktn")
    assert as_begun(asked, {"concepts": [{"initializer_token": "cat"}]}) == asked


@pytest.mark.parametrize(
    "stored", [None, {}, {"concepts": None}, {"concepts": []}, {"concepts": ["damaged"]}]
)
def test_a_run_that_does_not_say_them_leaves_the_job_as_it_is(
    plain: TrainJob, stored: dict[str, Any] | None
) -> None:
    assert as_begun(plain, stored) == plain


def test_checkpoints_of_earlier_versions_are_those_of_the_same_run(
    plain: TrainJob, tiny_base: Base
) -> None:
    """What was called reference is called four_to_one; the digest is in every checkpoint."""
    now = described(replace(plain, prior_weighting="four_to_one"), tiny_base)
    assert digest(now) == digest(now | {"prior_weighting": "reference"})
    assert digest(now) != digest(now | {"prior_weighting": "mean"})
    fixed = {"name": "mycat", "prior_weighting": "reference", "seed": 0, "steps": 9}
    assert digest(fixed) == digest(fixed | {"prior_weighting": "four_to_one"}) == "1c510c1787e95707"


def test_runs_that_ask_for_nothing_new_are_described_as_they_always_were(
    plain: TrainJob, tiny_base: Base
) -> None:
    """So that runs and checkpoints of earlier versions go on."""
    known = described(plain, tiny_base)
    assert not {"update_rank", "resolution", "autoencoder"} & set(known)
    assert digest(described(replace(plain, precision="fp32"), tiny_base)) == digest(known)


@pytest.mark.parametrize("changes", [{"update_rank": 2}, {"resolution": 128}, {"vae": "other"}])
def test_another_rank_resolution_or_autoencoder_makes_another_run(
    plain: TrainJob, tiny_base: Base, changes: dict[str, Any]
) -> None:
    other = described(replace(plain, **changes), tiny_base)
    assert digest(other) != digest(described(plain, tiny_base))
    with pytest.raises(RunError, match="other settings"):
        differences(described(plain, tiny_base), other)
