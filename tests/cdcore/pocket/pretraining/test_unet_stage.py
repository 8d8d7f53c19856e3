"""Tests of `cdcore.pocket.pretraining.unet_stage`."""

import random
from pathlib import Path

import pytest
import torch

from cdcore.pocket.networks.architecture import build_noise_scheduler
from cdcore.pocket.pretraining.unet_stage import UnetStage, _draw_weights
from cdcore.pocket.scenes.scene import sample_scene
from tests.cdcore.pocket.pretraining.stage_case import opened


def test_timesteps_span_the_schedule_and_are_drawn_where_the_loss_weighs(
    folder: Path, work: Path
) -> None:
    stage = opened("unet", folder, work)
    assert isinstance(stage, UnetStage)
    stage.batch = 5000
    drawn = stage._draw_timesteps()
    assert drawn.min() < 20
    assert drawn.max() > 980
    alphas = build_noise_scheduler().alphas_cumprod
    snr = alphas / (1 - alphas)
    # With the min-SNR weight of gamma 1 a half-noised picture counts fully, a clear one less.
    weights = (snr.clamp(max=1) + 1) / (snr + 1)
    expected = weights[:500].sum() / weights.sum()
    assert (drawn < 500).float().mean().item() == pytest.approx(expected.item(), abs=0.002)


def test_small_things_are_drawn_oftener_than_their_share_of_the_world() -> None:
    rng = random.Random(0)
    scenes = [sample_scene(rng) for _ in range(400)]
    small = torch.tensor([scene.framing == "small" for scene in scenes])
    weights = _draw_weights(scenes)
    generator = torch.Generator().manual_seed(0)
    drawn = torch.multinomial(weights, 4000, replacement=True, generator=generator)
    share = small.double().mean()
    assert 0 < share < 0.1
    assert small[drawn].double().mean() > 3 * share
