"""Tests of `cdcore.pocket.pretraining.autoencoder_stage`."""

from pathlib import Path

import pytest
import torch

from cdcore.model.loading import load_base
from cdcore.pocket.pretraining.album import open_album
from cdcore.pocket.pretraining.autoencoder_stage import AutoencoderStage
from tests.cdcore.pocket.pretraining.stage_case import PICTURES, opened


def test_stored_scaling_gives_latents_of_unit_deviation(folder: Path, work: Path) -> None:
    base = load_base(str(folder))
    pixels = open_album(work, seed=0, count=PICTURES).pixels(torch.arange(PICTURES))
    generator = torch.Generator().manual_seed(0)
    mean, std = base.encode_pixels(pixels)
    latents = (
        mean + std * torch.randn(std.shape, generator=generator)
    ) * base.autoencoder.config.scaling_factor
    assert latents.std().item() == pytest.approx(1, rel=0.1)


def test_a_crop_is_a_part_of_a_picture(folder: Path, work: Path) -> None:
    stage = opened("autoencoder", folder, work)
    assert isinstance(stage, AutoencoderStage)
    crops = stage._crops()
    assert crops.shape == (stage.batch, 3, stage.crop, stage.crop)
    pictures = open_album(work, seed=0, count=PICTURES).pixels(torch.arange(PICTURES))
    parts = pictures.unfold(2, stage.crop, 1).unfold(3, stage.crop, 1)
    found = (parts == crops[0][None, :, None, None]).flatten(4).all(-1).all(1)
    assert found.any()
