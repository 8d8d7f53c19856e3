"""Tests of `benchmarks.common.random_bases`."""

from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel

from benchmarks.common.random_bases import SHAPES, ShapeName, random_base
from cdcore.model.kv_layout import KVLayout
from cdcore.model.loading import load_base

# Counted in the published checkpoints: facts that no configuration here can change.
PUBLISHED = {"sd1": (859_520_964, 83_653_863), "sdxl": (2_567_463_684, 83_653_863)}
STACKS = {"sd1": (24_960, 768), "sdxl": (166_400, 2048)}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_shape_has_the_size_of_the_published_model(name: ShapeName) -> None:
    shape = SHAPES[name]
    with torch.device("meta"):
        unet, autoencoder = UNet2DConditionModel(**shape.unet), AutoencoderKL(**shape.autoencoder)
    counts = tuple(sum(weight.numel() for weight in p.parameters()) for p in (unet, autoencoder))
    assert counts == PUBLISHED[name]
    assert KVLayout.of(unet).shape == STACKS[name]


def test_a_base_of_stable_diffusion_s_shape_has_its_text_encoder_and_latents() -> None:
    base = random_base("sd1", device="meta")
    weights = sum(weight.numel() for weight in base.text_encoder.model.parameters())
    assert weights == 123_060_480
    assert base.text_encoder.max_tokens == 77
    assert base.latent_shape == (4, 64, 64)


def test_a_saved_base_is_the_same_base(judged_folder: Path) -> None:
    made, read = random_base("tiny", device="cpu"), load_base(str(judged_folder))
    assert made.fingerprint == read.fingerprint
    assert made.autoencoder_fingerprint == read.autoencoder_fingerprint
    assert made.latent_shape == read.latent_shape
    assert made.fingerprint != random_base("tiny", device="cpu", seed=1).fingerprint
