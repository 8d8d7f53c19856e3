"""Tests of `cdcore.pocket.pretraining.stages`."""

from pathlib import Path

import pytest
import torch

from cdcore.model.loading import load_base
from cdcore.pocket.networks.judge import Judge
from cdcore.pocket.pretraining.stage_names import STAGES, StageName
from tests.cdcore.pocket.pretraining.case import opened


@pytest.mark.parametrize("name", STAGES)
def test_the_loss_of_a_stage_teaches_what_it_trains(
    name: StageName, folder: Path, work: Path
) -> None:
    stage = opened(name, folder, work)
    assert stage.name == name
    with torch.random.fork_rng():
        torch.manual_seed(0)
        loss = stage.loss(0)
    loss.backward()
    assert loss.isfinite()
    assert loss > 0
    taught = [part for part in stage.module.parameters() if part.grad is not None]
    everything = list(stage.module.parameters())
    assert sum(part.numel() for part in taught) > 0.95 * sum(part.numel() for part in everything)
    assert all(part.grad is not None and part.grad.isfinite().all() for part in taught)


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_goes_on_from_what_was_stored(name: StageName, folder: Path, work: Path) -> None:
    ours = opened(name, folder, work).module.state_dict()
    again = opened(name, folder, work)
    theirs = again.module.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[part], theirs[part]) for part in ours)
    assert all(torch.equal(ours[part], ours[part].half().to(ours[part])) for part in ours)


def test_what_is_stored_is_a_base_with_a_judge(folder: Path) -> None:
    base = load_base(str(folder))
    assert base.is_pocket
    assert base.latent_shape == (8, 16, 16)
    weights = [path for path in folder.rglob("*.safetensors") if "judge" not in path.parts]
    assert sum(path.stat().st_size for path in weights) < 24e6, "12 million halves"
    assert Judge.load(folder / "judge").see(torch.zeros(1, 3, 64, 64))[0].shape == (1, 128)
