"""Tests of `cdcore.model.checkpoint_header`."""

import pickle
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from cdcore.errors import BaseModelError
from cdcore.model.checkpoint_header import (
    CONFIGURATIONS,
    CheckpointHeader,
    checkpoint_path,
    is_torch_file,
    read_checkpoint_header,
)
from cdcore.model.configuration import read_configuration
from cdcore.model.families import PUBLISHED_FAMILIES, Family
from tests.single_file import checkpoint_of
from tests.small_families import FamilyName

by_family = pytest.mark.parametrize("family", ["sd1", "sd2", "sdxl"])


@by_family
@pytest.mark.parametrize("ending", ["safetensors", "ckpt"])
def test_a_checkpoint_shows_its_family(
    small_folder: Callable[[FamilyName], Path], tmp_path: Path, family: FamilyName, ending: str
) -> None:
    tensors, path = checkpoint_of(small_folder(family), family), tmp_path / f"model.{ending}"
    if ending == "ckpt":
        torch.save({"state_dict": tensors, "epoch": 3}, path)
    else:
        save_file(tensors, path)
    assert is_torch_file(path) is (ending == "ckpt")
    header = read_checkpoint_header("mine", path)
    assert header.family.name == family
    assert header.is_v_prediction is (family == "sd2")
    assert not header.ends_in_noise


def test_a_trainer_s_marks_say_what_an_sdxl_predicts() -> None:
    plain = {
        "model.diffusion_model.input_blocks.0.0.weight": (320, 4, 3, 3),
        "conditioner.embedders.1.model.ln_final.weight": (1280,),
    }
    marked = CheckpointHeader("mine", plain | {"v_pred": (0,), "ztsnr": (0,)})
    assert marked.is_v_prediction
    assert marked.ends_in_noise
    assert not CheckpointHeader("mine", plain).is_v_prediction


@pytest.mark.parametrize("family", PUBLISHED_FAMILIES, ids=lambda one: one.name)
def test_the_configurations_that_come_with_the_package_are_their_families(family: Family) -> None:
    read = read_configuration(CONFIGURATIONS / family.name)
    assert read.family is family
    assert read.profile is family.profile
    assert tuple(text["hidden_size"] for text in read.texts) == family.encoder_widths
    assert read["unet"]["cross_attention_dim"] == family.layout.text_width


def _lightning(name: str) -> tuple[dict[str, types.ModuleType], type]:
    """Modules of PyTorch Lightning's names with a class in the last, only to be pickled."""
    path = "pytorch_lightning.callbacks.model_checkpoint"
    names = ["pytorch_lightning", "pytorch_lightning.callbacks", path]
    modules = {one: types.ModuleType(one) for one in names}
    made = type(name, (), {"__module__": path})
    setattr(modules[path], name, made)
    return modules, made


@pytest.mark.parametrize("name", ["ModelCheckpoint", "EarlyStopping"])
def test_of_foreign_classes_only_the_one_that_sd_v1_4_names_is_passed_over(
    small_folder: Callable[[FamilyName], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    modules, made = _lightning(name)
    path = tmp_path / "sd-v1-4.ckpt"
    with monkeypatch.context() as patched:
        for one, module in modules.items():
            patched.setitem(sys.modules, one, module)
        tensors = checkpoint_of(small_folder("sd1"), "sd1")
        torch.save({"callbacks": {made: {"best_model_path": "x"}}, "state_dict": tensors}, path)
    if name == "ModelCheckpoint":
        assert read_checkpoint_header("mine", path).family.name == "sd1"
    else:
        with pytest.raises(BaseModelError, match=r"EarlyStopping.*\.safetensors file") as caught:
            read_checkpoint_header("mine", path)
        assert "\n" not in str(caught.value)


class _Hostile:
    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("ran",))


def test_nothing_in_a_checkpoint_is_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"state_dict": {"a": _Hostile()}}, tmp_path / "a.ckpt")
    (tmp_path / "b.ckpt").write_bytes(pickle.dumps({"a": _Hostile()}))
    (tmp_path / "c.safetensors").write_bytes(b"\xff" * 20)
    (tmp_path / "d.safetensors").write_bytes(b"")
    for name in ("a.ckpt", "b.ckpt", "c.safetensors", "d.safetensors"):
        with pytest.raises(BaseModelError, match="mine"):
            read_checkpoint_header("mine", tmp_path / name)
    assert capsys.readouterr().out == ""


def test_a_u_net_alone_is_refused() -> None:
    with pytest.raises(BaseModelError, match="no text encoder"):
        CheckpointHeader("mine", {"model.diffusion_model.input_blocks.0.0.weight": (320, 4, 3, 3)})


def test_names_of_bases_are_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("pocket", "sd1.4", "mine"):
        (tmp_path / name).write_text("")
    assert checkpoint_path("pocket") is None
    assert checkpoint_path("sd1.4") is None
    assert checkpoint_path("mine") == Path("mine")
    assert checkpoint_path("none") is None
    assert checkpoint_path("\0") is None
    assert checkpoint_path("x" * 5000) is None
