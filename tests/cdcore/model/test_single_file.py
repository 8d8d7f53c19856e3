"""Tests of `cdcore.model.single_file`."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save_file
from torch import Tensor

from cdcore.errors import BaseModelError
from cdcore.model import checkpoint_header
from cdcore.model.base import Base
from cdcore.model.base_files import local_base
from cdcore.model.loading import load_base
from cdcore.model.meta_base import outline_base
from tests.single_file import checkpoint_of
from tests.small_families import FamilyName

Folder = Callable[[FamilyName], Path]
by_family = pytest.mark.parametrize("family", ["sd1", "sd2", "sdxl"])


@pytest.fixture
def small_configurations(
    small_folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Let checkpoints be as small as the small bases, in place of their published sizes."""
    families: tuple[FamilyName, ...] = ("sd1", "sd2", "sdxl")
    root = tmp_path / "configurations"
    for family in families:
        ignored = shutil.ignore_patterns("*.safetensors", "tokenizer*", "scheduler")
        shutil.copytree(small_folder(family), root / family, ignore=ignored)
    monkeypatch.setattr(checkpoint_header, "CONFIGURATIONS", root)


def _write(tensors: dict[str, Tensor], words: Path, path: Path) -> str:
    shutil.copytree(words / "tokenizer", path.parent / "tokenizer", dirs_exist_ok=True)
    if path.suffix == ".ckpt":
        torch.save({"state_dict": tensors, "global_step": 470_000}, path)
    else:
        save_file(tensors, path)
    return str(path)


@by_family
@pytest.mark.parametrize("name", ["model.safetensors", "model.ckpt"])
@pytest.mark.usefixtures("small_configurations")
def test_one_file_is_the_folder_that_it_was_made_of(
    small_folder: Folder,
    small_base: Callable[[FamilyName], Base],
    tmp_path: Path,
    family: FamilyName,
    name: str,
) -> None:
    folder, expected = small_folder(family), small_base(family)
    base = load_base(_write(checkpoint_of(folder, family), folder, tmp_path / name))
    assert base.family is expected.family
    assert base.profile == expected.profile
    assert base.fingerprint == expected.fingerprint
    assert base.autoencoder_fingerprint == expected.autoencoder_fingerprint
    assert base.zeroes_empty_negatives is expected.zeroes_empty_negatives
    ours, theirs = base.noise_schedule, expected.noise_schedule
    assert ours.prediction_type == theirs.prediction_type
    assert torch.equal(ours.alphas_cumprod, theirs.alphas_cumprod)
    weights = base.seam.unet.state_dict()
    assert all(
        torch.equal(weights[key], one) for key, one in expected.seam.unet.state_dict().items()
    )
    for text in ("a teddybear, naïve café 🙂", ""):
        for mine, other in zip(
            base.text_encoder.read([text]), expected.text_encoder.read([text]), strict=True
        ):
            assert (mine is None) is (other is None)
            assert mine is None or other is None or torch.equal(mine, other)


@by_family
@pytest.mark.usefixtures("small_configurations")
def test_its_outline_and_its_small_files_are_those_of_the_folder(
    small_folder: Folder,
    small_base: Callable[[FamilyName], Base],
    tmp_path: Path,
    family: FamilyName,
) -> None:
    folder, expected = small_folder(family), small_base(family)
    name = _write(checkpoint_of(folder, family), folder, tmp_path / "model.safetensors")
    outline, files = outline_base(name), local_base(name)
    assert outline.seam.layout == expected.seam.layout
    assert outline.noise_schedule.prediction_type == expected.noise_schedule.prediction_type
    assert files.family is outline.family is expected.family
    assert files.profile == outline.profile == expected.profile
    assert files.tokenizer is not None
    for word in ("wooden pot", "teddybear"):
        ids = files.tokenizer.encode(word, add_special_tokens=False).ids
        assert ids == expected.text_encoder.word_ids(word)


@pytest.mark.usefixtures("small_configurations")
def test_without_words_the_command_that_fetches_them_is_told_in_one_line(
    small_folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    path = tmp_path / "model.safetensors"
    save_file(checkpoint_of(small_folder("sd1"), "sd1"), path)
    for read in (local_base, load_base, outline_base):
        with pytest.raises(BaseModelError, match="hf download openai/clip-vit") as caught:
            read(str(path))
        assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("small_configurations")
@pytest.mark.parametrize("lacking", ["first_stage_model.decoder", "input_blocks.1.0"])
def test_a_file_that_lacks_a_part_is_refused_in_one_line(
    small_folder: Folder, tmp_path: Path, lacking: str
) -> None:
    folder = small_folder("sd1")
    tensors = checkpoint_of(folder, "sd1")
    kept = {name: one for name, one in tensors.items() if lacking not in name}
    name = _write(kept, folder, tmp_path / "model.safetensors")
    with pytest.raises(BaseModelError, match="cannot be loaded") as caught:
        load_base(name)
    assert "\n" not in str(caught.value)


def test_the_small_configurations_stand_for_the_published_ones(small_folder: Folder) -> None:
    """The same files, so that what is tried with one is what users get with the other."""
    families: tuple[FamilyName, ...] = ("sd1", "sd2", "sdxl")
    for family in families:
        shipped = checkpoint_header.CONFIGURATIONS / family
        for path in shipped.rglob("*.json"):
            of_small = small_folder(family) / path.relative_to(shipped)
            kinds = {"_class_name", "addition_embed_type", "hidden_act", "model_type"}
            one, other = json.loads(path.read_text()), json.loads(of_small.read_text())
            assert all(one.get(kind) == other.get(kind) for kind in kinds)
