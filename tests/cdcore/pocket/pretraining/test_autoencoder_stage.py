"""Tests of `cdcore.pocket.pretraining.autoencoder_stage`."""

from pathlib import Path

import pytest
import torch

from cdcore.model.loading import load_base
from cdcore.pocket.pretraining.album import open_album
from tests.cdcore.pocket.pretraining.case import PICTURES


def test_stored_scaling_gives_latents_of_unit_deviation(folder: Path, work: Path) -> None:
    base = load_base(str(folder))
    pixels = open_album(work, seed=0, count=PICTURES).pixels(torch.arange(PICTURES))
    mean, std = base.encode_pixels(pixels)
    latents = (mean + std * torch.randn_like(std)) * base.autoencoder.config.scaling_factor
    assert latents.std().item() == pytest.approx(1, rel=0.1)
