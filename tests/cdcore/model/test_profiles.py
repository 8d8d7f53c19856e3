"""Tests of `cdcore.model.profiles`."""

import re
from typing import get_args

import pytest

from cdcore.errors import ConfigError
from cdcore.model.profiles import PROFILES, Profile, SamplerName, check_resolution


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
    assert len(set(profile.initializer_tokens)) == len(profile.initializer_tokens)
    # The authors write the second of their three with the suffix of its entry in a vocabulary.
    assert all(re.fullmatch("[a-z]{3}(@@)?", word) for word in profile.initializer_tokens)


def test_stable_diffusion_is_trained_at_the_rates_of_the_paper() -> None:
    """Kumari et al. 2023, section 4 and appendix: batch 8, 250 steps (500 joint) at 8e-5, with 200
    regularization pictures, as many regularization rows as target rows; guidance 6.
    """
    profile = PROFILES["sd1"]
    assert (profile.steps, profile.joint_steps) == (250, 500)
    assert (profile.rows_per_step, profile.regularization_ratio) == (8, 1.0)
    assert profile.learning_rate == pytest.approx(1e-5 * profile.rows_per_step)
    assert (profile.regularization_images, profile.prior_weight) == (200, 1.0)
    assert profile.flip
    assert (profile.resolution, profile.guidance_scale) == (512, 6.0)
    assert profile.sampling_steps == 50
    # Kumari et al. start from rare tokens; these three are those of their code.
    assert profile.initializer_tokens[:3] == ("ktn", "pll@@", "ucd")


def test_the_pocket_base_is_trained_as_its_sweep_found() -> None:
    """docs/tuning.md has the sweep; mirrored things would be new to the pocket world."""
    stable, pocket = PROFILES["sd1"], PROFILES["pocket"]
    assert (pocket.learning_rate, pocket.regularization_ratio, pocket.steps) == (3e-4, 1.0, 600)
    assert (pocket.resolution, pocket.guidance_scale, pocket.sampling_steps) == (64, 4.0, 20)
    assert not pocket.flip
    assert pocket.initializer_tokens == ()
    for name in ("rows_per_step", "regularization_images", "prior_weight", "variants"):
        assert getattr(pocket, name) == getattr(stable, name)
    assert stable.regularization_images == 5 * stable.variants


@pytest.mark.parametrize("resolution", [0, -64, 63, 100, 520, 4160])
def test_a_side_that_no_u_net_can_halve_is_refused(resolution: int) -> None:
    with pytest.raises(ConfigError, match="expected a multiple of 64 from 64 to 4096"):
        check_resolution(resolution)


def test_sides_of_all_families_pass() -> None:
    for resolution in (64, 512, 768, 1024, 4096, *(one.resolution for one in PROFILES.values())):
        check_resolution(resolution)
