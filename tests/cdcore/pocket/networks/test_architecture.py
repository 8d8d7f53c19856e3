"""Tests of `cdcore.pocket.networks.architecture`."""

from typing import Any

import pytest
import torch
from torch import nn

from cdcore.pocket.drawing.render import PICTURE_SIZE
from cdcore.pocket.networks.architecture import (
    LATENT_CHANNELS,
    TEXT_WIDTH,
    build_autoencoder,
    build_noise_scheduler,
    build_towers,
    build_unet,
)
from cdcore.pocket.networks.tokenizer import MAX_TOKENS, build_tokenizer
from cdcore.pocket.scenes.caption import words

LATENT_SIDE = PICTURE_SIZE // 4


@pytest.fixture(scope="module")
def towers() -> Any:
    return build_towers(build_tokenizer(words()))


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_the_whole_base_has_less_than_twelve_million_parameters(towers: Any) -> None:
    judge_towers = count(towers)
    total = count(build_autoencoder()) + count(build_unet()) + count(towers) + judge_towers
    assert 1e6 < total < 12e6


@torch.no_grad()
def test_the_autoencoder_goes_to_latents_and_back() -> None:
    autoencoder = build_autoencoder()
    pixels = torch.zeros(2, 3, PICTURE_SIZE, PICTURE_SIZE)
    posterior = autoencoder.encode(pixels).latent_dist
    assert posterior.mean.shape == (2, LATENT_CHANNELS, LATENT_SIDE, LATENT_SIDE)
    assert posterior.std.mean() < 0.5, "it starts with little noise"
    assert autoencoder.decode(posterior.mean).sample.shape == pixels.shape


@torch.no_grad()
def test_the_unet_reads_text_at_two_resolutions() -> None:
    unet = build_unet()
    seen: list[int] = []
    for name, module in unet.named_modules():
        if name.endswith("attn2"):
            module.register_forward_pre_hook(lambda _, args: seen.append(args[0].shape[1]))
    z = torch.zeros(2, LATENT_CHANNELS, LATENT_SIDE, LATENT_SIDE)
    text = torch.zeros(2, MAX_TOKENS, TEXT_WIDTH)
    assert unet(z, torch.tensor([0, 999]), text).sample.shape == z.shape
    assert set(seen) == {(LATENT_SIDE // 2) ** 2, (LATENT_SIDE // 4) ** 2}


@torch.no_grad()
def test_both_towers_end_in_the_same_space(towers: Any) -> None:
    ids = torch.zeros(2, MAX_TOKENS, dtype=torch.long)
    text = towers.text_model(input_ids=ids)
    assert text.last_hidden_state.shape == (2, MAX_TOKENS, TEXT_WIDTH)
    pixels = torch.zeros(2, 3, PICTURE_SIZE, PICTURE_SIZE)
    picture = towers.vision_model(pixel_values=pixels).pooler_output
    assert towers.text_projection(text.pooler_output).shape == (2, TEXT_WIDTH)
    assert towers.visual_projection(picture).shape == (2, TEXT_WIDTH)


def test_the_noise_schedule_is_stable_diffusion_s_and_velocity_is_predicted() -> None:
    scheduler = build_noise_scheduler()
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    expected = torch.cumprod(1 - betas, dim=0)
    torch.testing.assert_close(scheduler.alphas_cumprod.double(), expected, rtol=1e-4, atol=1e-6)
    assert scheduler.config.prediction_type == "v_prediction"
