"""Tests of `cdcore.pocket.pretraining.towers_stage`."""

from pathlib import Path

import torch

from cdcore.model.loading import load_base
from cdcore.pocket.pretraining.towers_stage import TowersStage
from tests.cdcore.pocket.pretraining.stage_case import opened


@torch.no_grad()
def test_the_stored_text_tower_reads_as_the_trained_one_does(folder: Path, work: Path) -> None:
    stage = opened("towers", folder, work)
    assert isinstance(stage, TowersStage)
    encoder = load_base(str(folder)).text_encoder
    (ours,) = encoder.encode(["a red cat"])
    ids = encoder.tokenize(["a red cat"], []).ids
    theirs = stage.module.text_model(input_ids=ids).last_hidden_state[0]
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)
