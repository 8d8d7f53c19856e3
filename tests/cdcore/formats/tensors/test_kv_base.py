import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from cdcore.errors import BaseModelError, ConfigError
from cdcore.formats.tensors.key_names import COMPVIS_PREFIX, sgm_names
from cdcore.formats.tensors.kv_base import KVBase
from cdcore.model.base import Base
from cdcore.model.families import PUBLISHED_FAMILIES, Family
from cdcore.model.loading import load_base
from cdcore.model.meta_base import outline_base

WEIGHTS = "diffusion_pytorch_model.safetensors"
SD1 = PUBLISHED_FAMILIES[0]


@pytest.fixture
def copied(tiny_folder: Path, tmp_path: Path) -> Path:
    """A copy of the tiny base's U-Net alone."""
    shutil.copytree(tiny_folder / "unet", tmp_path / "copy" / "unet")
    return tmp_path / "copy"


def same(left: KVBase, right: KVBase) -> bool:
    return left.layout == right.layout and torch.equal(left.weights, right.weights)


def test_the_unet_of_a_folder_is_enough(copied: Path, tiny_base: Base) -> None:
    read = KVBase.load(str(copied))
    assert same(read, KVBase.of(tiny_base))
    assert read.encoder_widths == (32,)


def test_weights_may_be_in_shards_or_pickled(copied: Path, tiny_base: Base) -> None:
    file = copied / "unet" / WEIGHTS
    tensors = load_file(file)
    file.unlink()
    pickled = file.with_suffix(".bin")
    torch.save(tensors, pickled)
    assert same(KVBase.load(str(copied)), KVBase.of(tiny_base))
    pickled.unlink()
    names = sorted(tensors)
    for number, part in enumerate((names[::2], names[1::2]), start=1):
        shard = f"diffusion_pytorch_model-0000{number}-of-00002.safetensors"
        save_file({name: tensors[name] for name in part}, copied / "unet" / shard)
    assert same(KVBase.load(str(copied)), KVBase.of(tiny_base))


def test_a_folder_says_how_wide_its_encoders_are_and_what_it_predicts(copied: Path) -> None:
    for part, width in (("text_encoder", 20), ("text_encoder_2", 12)):
        (copied / part).mkdir()
        (copied / part / "config.json").write_text(json.dumps({"hidden_size": width}))
    (copied / "scheduler").mkdir()
    config = copied / "scheduler" / "scheduler_config.json"
    config.write_text(json.dumps({"prediction_type": "v_prediction"}))
    read = KVBase.load(str(copied))
    assert read.encoder_widths == (20, 12)
    assert read.is_v_prediction


@pytest.mark.parametrize("suffix", [".safetensors", ".ckpt"])
def test_a_checkpoint_of_one_file_has_other_names(tmp_path: Path, suffix: str) -> None:
    layout = SD1.layout
    tensors = {
        COMPVIS_PREFIX + sgm: torch.full((width, layout.text_width), float(number)).half()
        for number, (sgm, width) in enumerate(
            zip(sgm_names(layout).values(), layout.widths, strict=True)
        )
    }
    tensors["first_stage_model.encoder"] = torch.zeros(3)
    path = tmp_path / f"model{suffix}"
    if suffix == ".ckpt":
        torch.save({"state_dict": tensors, "global_step": 3}, path)
    else:
        save_file(tensors, path)
    read = KVBase.load(str(path))
    assert read.layout == layout
    assert read.encoder_widths == (768,)
    for number, part in enumerate(layout.split(read.weights).values()):
        assert (part == number).all()


def test_a_base_that_computes_in_half_precision_has_its_weights_as_they_were_read(
    tiny_folder: Path, tiny_base: Base
) -> None:
    rounded = KVBase.of(load_base(str(tiny_folder), dtype=torch.bfloat16))
    assert rounded.weights.dtype == torch.float32
    assert same(rounded, KVBase.of(tiny_base))


def test_a_family_has_a_layout_and_no_weights(family: Family) -> None:
    base = KVBase.of_family(family)
    assert base.family is family
    assert base.layout == family.layout
    with pytest.raises(ConfigError, match="holds the weights themselves"):
        _ = base.weights


def test_what_is_no_base_is_refused_in_one_line(tmp_path: Path, copied: Path) -> None:
    (tmp_path / "text.safetensors").write_text("hello")
    save_file({"conv.weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    (copied / "unet" / WEIGHTS).unlink()
    for name in ("text.safetensors", "other.safetensors", "copy", "none"):
        with pytest.raises(BaseModelError, match=name) as caught:
            KVBase.load(str(tmp_path / name))
        assert "\n" not in str(caught.value)


def test_an_outline_has_a_layout_and_no_weights(tiny_folder: Path, tiny_base: Base) -> None:
    outline = KVBase.of(outline_base(str(tiny_folder)))
    assert asdict(outline) == asdict(replace(KVBase.of(tiny_base), stack=None))
