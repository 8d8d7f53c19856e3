"""Tests of `cdcore.model.base`."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cdcore.errors import ConfigError
from cdcore.model.base import Base
from cdcore.model.families import POCKET, SD1
from cdcore.model.loading import load_base
from cdcore.model.profiles import PROFILES
from tests.tiny import rescaled, save_tiny_pipeline


def test_a_tiny_pipeline_is_a_base(tiny_base: Base, tiny_folder: Path) -> None:
    assert tiny_base.name == str(tiny_folder)
    assert tiny_base.is_pocket
    assert tiny_base.family is POCKET
    assert tiny_base.profile is PROFILES["pocket"]
    assert tiny_base.latent_factor == 8
    assert tiny_base.latent_shape == (4, 8, 8)
    assert tiny_base.device == torch.device("cpu")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_fingerprint_does_not_depend_on_the_dtype(
    tiny_base: Base, tiny_folder: Path, dtype: torch.dtype
) -> None:
    other = load_base(str(tiny_folder), dtype=dtype)
    assert other.seam.dtype == dtype
    assert other.fingerprint == tiny_base.fingerprint
    assert other.autoencoder_fingerprint == tiny_base.autoencoder_fingerprint


def test_another_model_has_other_fingerprints(tiny_base: Base, tmp_path: Path) -> None:
    save_tiny_pipeline(tmp_path, seed=1)
    other = load_base(str(tmp_path))
    assert other.fingerprint != tiny_base.fingerprint
    assert other.autoencoder_fingerprint != tiny_base.autoencoder_fingerprint
    assert len(other.fingerprint) == len(other.autoencoder_fingerprint) == 64


def test_other_settings_leave_a_pocket_a_pocket_and_another_family_does_not(
    tiny_base: Base,
) -> None:
    assert replace(tiny_base, profile=replace(tiny_base.profile, sampling_steps=1)).is_pocket
    assert not replace(tiny_base, family=SD1).is_pocket


@torch.no_grad()
def test_pixels_have_the_autoencoder_s_posterior(tiny_base: Base) -> None:
    pixels = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    mean, std = tiny_base.encode_pixels(pixels)
    posterior = tiny_base.autoencoder.encode(pixels).latent_dist
    assert mean.shape == std.shape == (3, *tiny_base.latent_shape)
    assert torch.equal(mean, posterior.mean)
    torch.testing.assert_close(std.square(), posterior.var)
    again = tiny_base.encode_pixels(pixels)
    assert torch.equal(again[0], mean)


@torch.no_grad()
def test_decoding_undoes_the_scaling_and_stays_in_range(tiny_base: Base) -> None:
    latents = torch.randn(17, *tiny_base.latent_shape, generator=torch.Generator().manual_seed(0))
    pixels = tiny_base.decode_latents(latents)
    factor = tiny_base.autoencoder.config.scaling_factor
    theirs = tiny_base.autoencoder.decode(latents[-1:] / factor).sample.clamp(-1, 1)
    assert pixels.shape == (17, 3, 64, 64)
    torch.testing.assert_close(pixels[-1:], theirs, rtol=0, atol=1e-5)
    assert tiny_base.decode_latents(1e3 * latents).abs().max() == 1


@torch.no_grad()
@pytest.mark.parametrize("factor", [0.13025, 1.5305])
def test_latents_are_unscaled_by_the_autoencoder_s_own_factor(
    tiny_base: Base, factor: float
) -> None:
    other = rescaled(tiny_base, factor)
    latents = torch.randn(1, *tiny_base.latent_shape, generator=torch.Generator().manual_seed(0))
    unscaled = latents / tiny_base.autoencoder.config.scaling_factor
    torch.testing.assert_close(
        other.decode_latents(unscaled * factor),
        tiny_base.decode_latents(latents),
        rtol=0,
        atol=1e-5,
    )
    assert not torch.equal(other.decode_latents(latents), tiny_base.decode_latents(latents))


def test_at_another_resolution_only_the_side_is_another(tiny_base: Base) -> None:
    assert tiny_base.at(None) is tiny_base
    assert tiny_base.at(64) is tiny_base
    larger = tiny_base.at(128)
    assert larger.latent_shape == (4, 16, 16)
    assert replace(larger.profile, resolution=64) == tiny_base.profile
    assert larger.seam is tiny_base.seam
    with pytest.raises(ConfigError, match="multiple of 64"):
        tiny_base.at(100)


def test_pictures_are_told_to_be_whole_and_as_large_as_they_are(tiny_base: Base) -> None:
    assert tiny_base.pooled_with_sizes(None) is None
    text = torch.zeros(2, 5)
    for size, expected in ((None, [64, 64, 0, 0, 64, 64]), ((96, 32), [32, 96, 0, 0, 32, 96])):
        found = tiny_base.pooled_with_sizes(text, size)
        assert found is not None
        assert found[0] is text
        assert found[1].tolist() == [expected, expected]
