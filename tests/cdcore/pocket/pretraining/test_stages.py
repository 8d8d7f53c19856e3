"""Tests of `cdcore.pocket.pretraining.stages`."""

from pathlib import Path

import pytest
import torch

from cdcore.model.loading import load_base
from cdcore.pocket.networks.judge import Judge
from cdcore.pocket.pretraining.stage_names import STAGES, StageName
from cdcore.pocket.pretraining.stages import STAGE_CLASSES
from tests.cdcore.pocket.pretraining.stage_case import BATCH, opened


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in STAGE_CLASSES.values():
        monkeypatch.setattr(kind, "batch", BATCH)


@pytest.mark.parametrize("name", STAGES)
def test_the_loss_of_a_stage_teaches_what_it_trains(
    name: StageName, folder: Path, work: Path
) -> None:
    stage = opened(name, folder, work)
    assert stage.name == name
    loss = stage.loss(0)
    loss.backward()
    assert loss.isfinite()
    assert loss > 0
    taught = [part for part in stage.module.parameters() if part.grad is not None]
    everything = list(stage.module.parameters())
    assert sum(part.numel() for part in taught) > 0.95 * sum(part.numel() for part in everything)
    assert all(part.grad is not None and part.grad.isfinite().all() for part in taught)


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_draws_from_its_own_generator_alone(
    name: StageName, folder: Path, work: Path
) -> None:
    losses, before = [], torch.random.get_rng_state()
    for _ in range(2):
        stage = opened(name, folder, work)
        stage.generator.manual_seed(7)
        losses.append(stage.loss(0).item())
    assert losses[0] == losses[1]
    assert torch.equal(torch.random.get_rng_state(), before)


def test_opening_a_stage_leaves_the_global_generator_as_it_was_and_repeats_its_weights(
    work: Path, tmp_path: Path
) -> None:
    before = torch.random.get_rng_state()
    first, again = (opened("towers", tmp_path, work).module.state_dict() for _ in range(2))
    assert all(torch.equal(first[part], again[part]) for part in first)
    assert torch.equal(torch.random.get_rng_state(), before)


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
