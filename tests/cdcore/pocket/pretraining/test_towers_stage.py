"""Tests of `cdcore.pocket.pretraining.towers_stage`."""

from pathlib import Path

import torch

from cdcore.pocket.networks.towers import Towers
from tests.cdcore.pocket.pretraining.case import opened

TEXTS = ["a red cat", "a blue dog in the snow"]


def test_the_stored_towers_read_texts_as_the_trained_ones_do(folder: Path, work: Path) -> None:
    stage = opened("towers", folder, work)
    with torch.no_grad():
        for part in stage.module.parameters():
            part.add_(0.01)
    stage.save(stage.module, folder)
    stored = Towers.load(folder).embed_texts(TEXTS)
    again = opened("towers", folder, work)
    ours, theirs = stage.module.state_dict(), again.module.state_dict()
    for name, part in ours.items():
        torch.testing.assert_close(theirs[name], part.half().to(part), rtol=0, atol=0)
    torch.testing.assert_close(stored.norm(dim=-1), torch.ones(2))
    assert not torch.allclose(stored[0], stored[1])
