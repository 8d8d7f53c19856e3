"""Tests of `cdcore.model.unfit_bases`."""

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from cdcore.errors import BaseModelError
from cdcore.model.base_files import local_base
from cdcore.model.configuration import read_configuration
from cdcore.model.loading import load_base
from cdcore.model.location import POCKET_FOLDER
from cdcore.model.meta_base import outline_base
from cdcore.model.unfit_bases import check_checkpoint, check_configuration
from tests.small_families import FamilyName

SD: dict[str, Mapping[str, Any]] = {
    "unet": {"_class_name": "UNet2DConditionModel", "in_channels": 4},
    "vae": {"latent_channels": 4},
    "text_encoder": {"model_type": "clip_text_model"},
}


def _unet(**changes: Any) -> dict[str, Mapping[str, Any]]:
    return SD | {"unet": dict(SD["unet"]) | changes}


UNFIT: dict[str, tuple[Mapping[str, Mapping[str, Any]], str]] = {
    "inpainting": (_unet(in_channels=9), "an inpainting model .* give the text-to-image model"),
    "depth": (_unet(in_channels=5), "a depth model"),
    "edit": (_unet(in_channels=8), "an editing model"),
    "upscaler": (_unet(in_channels=7), "an upscaler"),
    "others": (_unet(in_channels=12), "reads 12 channels"),
    "refiner": (
        _unet(addition_embed_type="text_time", cross_attention_dim=1280),
        "the refiner .*stable-diffusion-xl-base",
    ),
    "kolors": (
        _unet(addition_embed_type="text_time", cross_attention_dim=2048)
        | {"text_encoder": {"model_type": "chatglm"}},
        "reads with 'chatglm'",
    ),
    "image embeddings": (_unet(encoder_hid_dim_type="image_proj"), "embeddings of pictures"),
    "unclip": (_unet(class_embed_type="projection"), "a class or an embedding"),
    "lcm": (_unet(time_cond_proj_dim=256), "distilled to few steps .* give the model that it was"),
    "video": (_unet(_class_name="UNet3DConditionModel"), "a model of video"),
    "svd": (_unet(_class_name="UNetSpatioTemporalConditionModel"), "a model of video"),
    "sd3": ({"pipeline": {"_class_name": "StableDiffusion3Pipeline"}}, "MM-DiT"),
    "flux": ({"pipeline": {"_class_name": "FluxPipeline"}}, "MM-DiT"),
    "pixart": ({"pipeline": {"_class_name": "PixArtAlphaPipeline"}}, "a transformer"),
    "wan": ({"pipeline": {"_class_name": "WanPipeline"}}, "a model of video"),
    "cascade": ({"pipeline": {"_class_name": "StableCascadeDecoderPipeline"}}, "several stages"),
    "bare transformer": (
        {"transformer": {"_class_name": "SomethingNewTransformer2DModel"}},
        "a diffusion transformer .SomethingNew",
    ),
    "t5": (SD | {"text_encoder": {"model_type": "t5"}}, "reads with 't5'"),
}


@pytest.mark.parametrize(("configs", "said"), UNFIT.values(), ids=list(UNFIT))
def test_a_base_that_is_of_no_use_is_named_with_what_would_do(
    configs: Mapping[str, Mapping[str, Any]], said: str
) -> None:
    with pytest.raises(BaseModelError, match=f"base 'mine' is .*{said}") as caught:
        check_configuration("mine", configs)
    assert "; give " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bases_that_are_of_use_pass(
    tiny_folder: Path, small_folder: Callable[[FamilyName], Path]
) -> None:
    names: tuple[FamilyName, ...] = ("sd1", "sd2", "sdxl")
    folders = [tiny_folder, POCKET_FOLDER, *(small_folder(family) for family in names)]
    for folder in folders:
        check_configuration("mine", read_configuration(folder))
    check_configuration("mine", {})
    check_configuration("mine", SD)


def test_every_way_into_a_base_refuses_it_before_any_weights(tmp_path: Path) -> None:
    for part, described in UNFIT["inpainting"][0].items():
        (tmp_path / part).mkdir()
        (tmp_path / part / "config.json").write_text(json.dumps(described))
    for read in (local_base, load_base, outline_base):
        started = time.monotonic()
        with pytest.raises(BaseModelError, match="an inpainting model"):
            read(str(tmp_path))
        assert time.monotonic() - started < 2


FIRST = "model.diffusion_model.input_blocks.0.0.weight"
SHAPES: dict[str, tuple[dict[str, tuple[int, ...]], str]] = {
    "inpainting": ({FIRST: (320, 9, 3, 3)}, "an inpainting model"),
    "depth": ({FIRST: (320, 5, 3, 3)}, "a depth model"),
    "refiner": (
        {FIRST: (384, 4, 3, 3), "conditioner.embedders.0.model.ln_final.weight": (1280,)},
        "the refiner",
    ),
    "sd3": ({"model.diffusion_model.joint_blocks.0.x_block.attn.qkv.weight": (1, 1)}, "MM-DiT"),
    "flux": ({"double_blocks.0.img_attn.qkv.weight": (1, 1)}, "MM-DiT"),
    "svd": (
        {FIRST: (320, 8, 3, 3), "model.diffusion_model.input_blocks.1.0.time_stack.x": (1,)},
        "a model of video",
    ),
    "lora": ({"lora_unet_down_blocks_0.lora_down.weight": (1, 1)}, "a LoRA"),
    "controlnet": ({"control_model.input_blocks.0.0.weight": (1, 1, 1, 1)}, "a ControlNet"),
    "a part": ({"down_blocks.0.resnets.0.conv1.weight": (1, 1, 1, 1)}, "give the whole folder"),
    "a vae": ({"first_stage_model.encoder.conv_in.weight": (1, 1, 1, 1)}, "no whole checkpoint"),
    "nothing": ({}, "no whole checkpoint"),
}


@pytest.mark.parametrize(("shapes", "said"), SHAPES.values(), ids=list(SHAPES))
def test_a_checkpoint_that_is_of_no_use_is_named(
    shapes: dict[str, tuple[int, ...]], said: str, tmp_path: Path
) -> None:
    with pytest.raises(BaseModelError, match=said) as caught:
        check_checkpoint("mine", shapes)
    assert "give" in str(caught.value)
    if shapes:
        path = tmp_path / "mine.safetensors"
        save_file({name: torch.zeros(shape) for name, shape in shapes.items()}, path)
        (tmp_path / "tokenizer").mkdir()
        for name in ("vocab.json", "merges.txt"):
            (tmp_path / "tokenizer" / name).write_text("{}")
        for read in (local_base, load_base, outline_base):
            with pytest.raises(BaseModelError, match=said):
                read(str(path))
