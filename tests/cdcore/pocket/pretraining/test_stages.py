"""Tests of `cdcore.pocket.pretraining.stages`."""

import random
from pathlib import Path

import pytest
import torch

from cdcore.model.loading import load_base
from cdcore.pocket.networks.architecture import build_noise_scheduler
from cdcore.pocket.networks.judge import Judge
from cdcore.pocket.pretraining.album import open_album
from cdcore.pocket.pretraining.stage import Stage, draw_prompts
from cdcore.pocket.pretraining.stage_names import STAGES, StageName
from cdcore.pocket.pretraining.stages import STAGE_CLASSES, open_stage
from cdcore.pocket.pretraining.unet_stage import UnetStage, _draw_weights
from cdcore.pocket.scenes.caption import full_caption, words
from cdcore.pocket.scenes.scene import sample_scene

BATCH = 6
PICTURES = 16


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in STAGE_CLASSES.values():
        monkeypatch.setattr(kind, "batch", BATCH)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, work: Path) -> Path:
    """A base whose every stage was opened and saved at once, untrained."""
    folder = tmp_path_factory.mktemp("base")
    for name in STAGES:
        stage = opened(name, folder, work)
        stage.save(stage.module, folder)
    return folder


def opened(name: StageName, folder: Path, work: Path) -> Stage:
    with torch.random.fork_rng():
        return open_stage(name, folder, work, PICTURES, 0, "cpu")


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


def test_stored_scaling_gives_latents_of_unit_deviation(folder: Path, work: Path) -> None:
    base = load_base(str(folder))
    pixels = open_album(work, seed=0, count=PICTURES).pixels(torch.arange(PICTURES))
    mean, std = base.encode_pixels(pixels)
    latents = (mean + std * torch.randn_like(std)) * base.autoencoder.config.scaling_factor
    assert latents.std().item() == pytest.approx(1, rel=0.1)


def test_the_judge_learns_from_another_world_than_the_base(folder: Path, work: Path) -> None:
    opened("judge", folder, work)
    albums = {path.name for path in work.glob("album-*.npy")}
    assert len(albums) == 2
    assert f"{open_album(work, seed=0, count=PICTURES).name}.npy" in albums


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


def test_users_prompts_are_of_every_fulness_and_sometimes_odd(work: Path) -> None:
    album = open_album(work, seed=0, count=PICTURES)
    prompts = draw_prompts(album, torch.arange(PICTURES).repeat(20), random.Random(0))
    known = set(words())
    odd = [not known.issuperset(text.split()) for text in prompts]
    assert 0.05 < sum(odd) / len(odd) < 0.16
    full = {full_caption(scene) for scene in album.scenes}
    assert 0.35 < sum(text in full for text in prompts) / len(prompts) < 0.75


def test_small_things_are_drawn_oftener_than_their_share_of_the_world() -> None:
    rng = random.Random(0)
    scenes = [sample_scene(rng) for _ in range(400)]
    small = torch.tensor([scene.framing == "small" for scene in scenes])
    weights = _draw_weights(scenes)
    torch.manual_seed(0)
    drawn = torch.multinomial(weights, 4000, replacement=True)
    share = small.double().mean()
    assert 0 < share < 0.1
    assert small[drawn].double().mean() > 3 * share
