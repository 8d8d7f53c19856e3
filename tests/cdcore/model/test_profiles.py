"""Tests of `cdcore.model.profiles`."""

from typing import get_args

import pytest

from cdcore.model.profiles import PROFILES, Profile, SamplerName


@pytest.mark.parametrize("profile", PROFILES.values(), ids=list(PROFILES))
def test_every_setting_can_be_used_as_it_is(profile: Profile) -> None:
    assert profile.resolution % 8 == 0
    assert profile.sampler in get_args(SamplerName)
    assert profile.guidance_scale >= 1
    assert 0 < profile.learning_rate < 1
    assert profile.rows_per_step % 2 == 0, "half of the rows are regularization rows"
    counts = (profile.steps, profile.variants, profile.regularization_images)
    assert all(count > 0 for count in (*counts, profile.sampling_steps))
    assert profile.joint_steps == 2 * profile.steps
