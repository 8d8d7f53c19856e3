from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cdcore.command_line.parser import parse
from cdcore.errors import ConfigError
from cdcore.model.base import Base
from cdcore.model.profiles import PROFILES
from rayjobs.config.evaluation import FIELD_GROUPS, PRESETS, EvaluateJob, SamplingSettings

DATASET = Path("set")


def made(**changes: Any) -> EvaluateJob:
    return EvaluateJob(dataset=DATASET, **changes)


def test_the_paper_s_preset_is_its_protocol(tiny_base: Base) -> None:
    job = made(preset="paper")
    plan = job.plan()
    # 20 prompts x 50 pictures are 1,000 of each concept, KID is of as many.
    assert (job.chosen_prompts, plan.pictures, plan.kid_pictures) == (20, 50, 1000)
    sampling = job.sampling(tiny_base)
    assert sampling == SamplingSettings(steps=200, guidance_scale=6.0, sampler="ddpm")
    assert job.protocol(sampling) == "paper"


def test_customconcept101_has_all_its_prompts_and_five_pictures_of_each(tiny_base: Base) -> None:
    job = made(preset="customconcept101")
    assert (job.chosen_limit, job.chosen_prompts, job.plan().pictures) == (None, None, 5)
    sampling = job.sampling(tiny_base)
    assert (sampling.guidance_scale, sampling.sampler) == (6.0, "ddpm")
    assert job.protocol(sampling) == "50 steps"
    longer = replace(job, steps=200)
    assert longer.protocol(longer.sampling(tiny_base)) == "200 steps"


def test_quick_leaves_the_sampler_to_the_base(tiny_base: Base) -> None:
    profile = PROFILES["pocket"]
    assert made().sampling(tiny_base) == SamplingSettings(
        steps=profile.sampling_steps,
        guidance_scale=profile.guidance_scale,
        sampler=profile.sampler,
    )


@pytest.mark.parametrize("preset", PRESETS)
def test_a_flag_wins_over_every_preset(tiny_base: Base, preset: Any) -> None:
    job = made(
        preset=preset, pictures=1, kid_pictures=0, steps=3, sampler="ddim", guidance=1.0, limit=9
    )
    assert (job.plan().pictures, job.plan().kid_pictures, job.plan().drift_pictures) == (1, 0, 1)
    assert job.chosen_limit == 9
    assert job.sampling(tiny_base) == SamplingSettings(steps=3, guidance_scale=1.0, sampler="ddim")


@pytest.mark.parametrize(
    ("changes", "flag"),
    [
        ({"pictures": 0}, "--pictures"),
        ({"drift_pictures": -1}, "--drift-pictures"),
        ({"workers": 0}, "--workers"),
        ({"sections": ()}, "--sections"),
        ({"train_steps": 0}, "--train-steps"),
    ],
)
def test_impossible_settings_are_refused_by_their_flag(changes: dict[str, Any], flag: str) -> None:
    with pytest.raises(ConfigError, match=flag):
        made(**changes)


def test_every_optional_field_stands_in_the_help_once() -> None:
    grouped = [name for names in FIELD_GROUPS.values() for name in names]
    assert len(set(grouped)) == len(grouped)
    assert set(EvaluateJob.__slots__) - set(grouped) == {"dataset", "base", "preset"}
    job = parse(
        EvaluateJob,
        ["--dataset", "set", "--preset", "paper", "--methods", "base", "ridge", "--no-train"],
        prog="evaluate.py",
        description="",
        groups=FIELD_GROUPS,
    )
    assert (job.preset, job.methods, job.train) == ("paper", ("base", "ridge"), False)
