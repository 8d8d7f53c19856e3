"""Bases of a given shape with random weights: what a step costs does not depend on the values."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from cdcore.model.base import Base, fingerprint
from cdcore.model.families import family_of
from cdcore.model.noise_schedule import NoiseSchedule
from cdcore.model.profiles import PROFILES, Profile
from cdcore.model.seam import Seam
from cdcore.model.text_encoder import TextEncoder
from cdcore.pocket.networks.architecture import build_noise_scheduler
from cdcore.pocket.networks.tokenizer import build_tokenizer
from cdcore.pocket.scenes.caption import words

__all__ = ["SHAPES", "Shape", "ShapeName", "random_base", "save_random_base"]

ShapeName = Literal["tiny", "sd1", "sdxl"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """The published configuration of a family of models.

    Attributes:
        unet: The settings of diffusers' ``UNet2DConditionModel``.
        autoencoder: The settings of diffusers' ``AutoencoderKL``.
        texts: The settings of each text encoder, transformers' ``CLIPTextConfig``.
        profile: Its default settings; the resolution is that of the latents.
    """

    unet: Mapping[str, Any]
    autoencoder: Mapping[str, Any]
    texts: tuple[Mapping[str, Any], ...]
    profile: Profile


def _text(width: int, layers: int, heads: int, **more: Any) -> dict[str, Any]:
    described = {
        "vocab_size": 49_408,
        "hidden_size": width,
        "intermediate_size": 4 * width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "max_position_embeddings": 77,
        "projection_dim": width,
    }
    return described | more


def _autoencoder(*channels: int, **more: Any) -> dict[str, Any]:
    described = {
        "block_out_channels": channels,
        "down_block_types": ("DownEncoderBlock2D",) * len(channels),
        "up_block_types": ("UpDecoderBlock2D",) * len(channels),
        "layers_per_block": 2,
        "latent_channels": 4,
    }
    return described | more


SHAPES: dict[ShapeName, Shape] = {
    "tiny": Shape(
        unet={
            "sample_size": 8,
            "block_out_channels": (32, 64),
            "layers_per_block": 1,
            "down_block_types": ("CrossAttnDownBlock2D",) * 2,
            "up_block_types": ("CrossAttnUpBlock2D",) * 2,
            "cross_attention_dim": 32,
            "attention_head_dim": 4,
            "norm_num_groups": 8,
        },
        autoencoder=_autoencoder(16, 16, 32, 32, norm_num_groups=8, sample_size=64),
        texts=(_text(32, 2, 2, vocab_size=4096),),
        profile=PROFILES["pocket"],
    ),
    "sd1": Shape(
        unet={
            "sample_size": 64,
            "block_out_channels": (320, 640, 1280, 1280),
            "layers_per_block": 2,
            "down_block_types": (*("CrossAttnDownBlock2D",) * 3, "DownBlock2D"),
            "up_block_types": ("UpBlock2D", *("CrossAttnUpBlock2D",) * 3),
            "cross_attention_dim": 768,
            "attention_head_dim": 8,
        },
        autoencoder=_autoencoder(128, 256, 512, 512, sample_size=512),
        texts=(_text(768, 12, 12),),
        profile=PROFILES["sd1"],
    ),
    "sdxl": Shape(
        unet={
            "sample_size": 128,
            "block_out_channels": (320, 640, 1280),
            "layers_per_block": 2,
            "down_block_types": ("DownBlock2D", *("CrossAttnDownBlock2D",) * 2),
            "up_block_types": (*("CrossAttnUpBlock2D",) * 2, "UpBlock2D"),
            "transformer_layers_per_block": (1, 2, 10),
            "cross_attention_dim": 2048,
            "attention_head_dim": (5, 10, 20),
            "use_linear_projection": True,
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 256,
            "projection_class_embeddings_input_dim": 2816,
        },
        autoencoder=_autoencoder(128, 256, 512, 512, sample_size=1024),
        texts=(_text(768, 12, 12), _text(1280, 32, 20, hidden_act="gelu")),
        profile=PROFILES["sd1"],
    ),
}
"""Stable Diffusion 1 and XL as their authors published them, and one for tests."""


def random_base(
    name: Literal["tiny", "sd1"],
    *,
    device: torch.device | str,
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
) -> Base:
    """Make a base with random weights.

    Args:
        name: Which shape.
        device: Where the base is made; on ``meta`` it has no values and no fingerprint.
        dtype: The dtype of the U-Net; the text encoder and the autoencoder are in float32.
        seed: The seed of the weights.
    """
    tokenizer, text_model, autoencoder, unet, scheduler = _parts(SHAPES[name], device, seed)
    table = text_model.get_input_embeddings().weight
    is_meta = torch.device(device).type == "meta"
    seam = Seam(unet, dtype=dtype)
    return Base(
        name=f"random-{name}",
        fingerprint="meta" if is_meta else fingerprint(seam.read_stack, table),
        family=family_of(SHAPES[name].unet, SHAPES[name].texts),
        profile=SHAPES[name].profile,
        text_encoder=TextEncoder(tokenizer, text_model),
        autoencoder=autoencoder.eval().requires_grad_(False),
        seam=seam,
        noise_schedule=NoiseSchedule(
            alphas_cumprod=scheduler.alphas_cumprod.double(), prediction_type="epsilon"
        ),
    )


def save_random_base(name: Literal["tiny", "sd1"], folder: Path, *, seed: int = 0) -> None:
    """Write a base with random weights as a diffusers folder.

    Raises:
        OSError: The folder cannot be written.
    """
    names = ("tokenizer", "text_encoder", "vae", "unet", "scheduler")
    for part, subfolder in zip(_parts(SHAPES[name], "cpu", seed), names, strict=True):
        part.save_pretrained(folder / subfolder)


def text_model(described: Mapping[str, Any], tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """Make a text encoder with random weights on the default device."""
    return CLIPTextModel(
        CLIPTextConfig(
            **described,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def _parts(
    shape: Shape, device: torch.device | str, seed: int
) -> tuple[CLIPTokenizer, CLIPTextModel, nn.Module, nn.Module, DDPMScheduler]:
    tokenizer = build_tokenizer(words())
    tokenizer.model_max_length = shape.texts[0]["max_position_embeddings"]
    devices = [device] if torch.device(device).type == "cuda" else []
    with torch.random.fork_rng(devices), torch.device(device):
        torch.manual_seed(seed)
        text = text_model(shape.texts[0], tokenizer)
        autoencoder = AutoencoderKL(**shape.autoencoder)
        unet = UNet2DConditionModel(**shape.unet)
    return tokenizer, text, autoencoder, unet, build_noise_scheduler()
