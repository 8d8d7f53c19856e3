"""Tests of `cdcore.pocket.networks.judge_embedders`."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from cdcore.errors import BaseModelError
from cdcore.evaluation.panel import JUDGE, PanelSources, load_panel
from cdcore.model.base import Base
from cdcore.model.families import SD1
from cdcore.model.loading import load_base
from cdcore.model.location import POCKET_FOLDER
from cdcore.pocket.networks.judge import Judge
from cdcore.pocket.networks.judge_embedders import JudgeEmbedder, JudgeLook, embedder_of, judge_of
from cdcore.pocket.networks.tokenizer import build_tokenizer
from cdcore.pocket.scenes.caption import words

TEXTS = ["a cat", "a dog on the beach"]


def new_judge(seed: int = 0) -> Judge:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Judge.untrained(build_tokenizer(words()), layers=1).eval()


def pixels(*shape: int) -> Tensor:
    count, height, width = shape
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, 3, height, width, generator=generator) * 2 - 1


@pytest.fixture
def own_folder(tiny_folder: Path, tmp_path: Path) -> Path:
    """A self-trained pocket base with a judge of its own."""
    folder = tmp_path / "own"
    shutil.copytree(tiny_folder, folder)
    new_judge(seed=5).save(folder / "judge")
    return folder


@pytest.fixture
def own_base(own_folder: Path) -> Base:
    return load_base(str(own_folder))


@torch.no_grad()
def test_a_self_trained_base_is_scored_by_its_own_judge_in_training_and_in_evaluation(
    own_base: Base, own_folder: Path
) -> None:
    own, shipped = Judge.load(own_folder / "judge"), Judge.load(POCKET_FOLDER / "judge")
    shown = pixels(2, 64, 64)
    in_training = embedder_of(own_base)
    in_evaluation = load_panel(PanelSources.of_base(own_base, None, None), own_base).clip
    assert in_training is not None
    for embedder in (in_training, in_evaluation):
        assert torch.equal(embedder.embed_texts(TEXTS), own.embed_texts(TEXTS))
        torch.testing.assert_close(embedder.embed_pictures(shown), own.embed_pictures(shown))
        assert not torch.allclose(embedder.embed_texts(TEXTS), shipped.embed_texts(TEXTS))


@torch.no_grad()
def test_a_base_without_a_judge_of_its_own_is_scored_by_the_shipped_one_bit_for_bit(
    tiny_base: Base,
) -> None:
    shipped, shown = Judge.load(POCKET_FOLDER / "judge"), pixels(2, 64, 64)
    found = embedder_of(tiny_base)
    assert found is not None
    assert torch.equal(found.embed_pictures(shown), shipped.embed_pictures(shown))
    assert torch.equal(found.embed_texts(TEXTS), shipped.embed_texts(TEXTS))


@pytest.mark.parametrize("damage", ["heads.safetensors", "text_tower/model.safetensors"])
def test_a_damaged_judge_is_named_and_the_shipped_one_does_not_take_its_place(
    own_base: Base, own_folder: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    file = own_folder / "judge" / damage
    file.write_bytes(file.read_bytes()[:100])
    assert embedder_of(own_base) is None
    assert str(own_folder / "judge") in caplog.text
    assert "pictures are not scored" in caplog.text
    with pytest.raises(BaseModelError, match=r"own/judge cannot be loaded .*pretrain one"):
        judge_of(own_base, needed=True)


def test_a_base_of_another_family_has_a_judge_only_where_one_is_asked_for(tiny_base: Base) -> None:
    real = replace(tiny_base, family=SD1)
    assert embedder_of(real) is None
    assert judge_of(real, needed=True) is not None
    assert load_panel(PanelSources(clip=JUDGE, dino=JUDGE), real).judge is not None


@pytest.mark.gpu
def test_a_judge_beside_its_base_takes_pictures_from_the_cpu(tiny_folder: Path) -> None:
    base = load_base(str(tiny_folder), device="cuda")
    judge = embedder_of(base)
    assert judge is not None
    with torch.no_grad():
        assert judge.embed_pictures(pixels(2, 64, 64)).device.type == "cuda"


def test_the_judge_sees_its_own_size_as_it_is_and_others_made_small() -> None:
    judge = new_judge()
    embedder, look = JudgeEmbedder(judge), JudgeLook(judge)
    own, large = pixels(2, 64, 64), pixels(2, 96, 128)
    assert torch.equal(embedder.embed_pictures(own), judge.embed_pictures(own))
    assert torch.equal(look.embed_pictures(own), judge.look(own))
    assert torch.equal(embedder.embed_texts(["a cat"]), judge.embed_texts(["a cat"]))
    assert embedder.embed_pictures(large).shape == embedder.embed_pictures(own).shape
    # Two views of a picture: with texts in mind, and without.
    assert not torch.allclose(look.embed_pictures(own), embedder.embed_pictures(own), atol=0.1)
