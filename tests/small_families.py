"""Small random bases of the published families, with CLIP's true words, for whole sessions.

Their shapes are as small as the architecture allows; what is true of the families is true here: the
text encoders' activations, what they pool, the U-Net's conditioning, and what it predicts.
"""

from pathlib import Path
from typing import Any, Literal

import torch

from tests.clip_words import write_clip_words
from tests.tiny import tiny_autoencoder

__all__ = ["FamilyName", "save_small_base"]

FamilyName = Literal["sd1", "sd2", "sdxl"]
_WIDTHS = {"sd1": (32,), "sd2": (32,), "sdxl": (16, 32)}
_PADS = {"sd1": ("<|endoftext|>",), "sd2": ("!",), "sdxl": ("<|endoftext|>", "!")}
_BETAS = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}


def save_small_base(family: FamilyName, folder: Path, *, seed: int = 0) -> None:
    """Write a base as diffusers saves one: 64 x 64 pixels, latents of (4, 8, 8)."""
    from diffusers import DDIMScheduler, StableDiffusionPipeline, StableDiffusionXLPipeline
    from transformers import CLIPTokenizer

    parts: dict[str, Any] = {}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for number, (width, pad) in enumerate(
            zip(_WIDTHS[family], _PADS[family], strict=True), start=1
        ):
            suffix = "" if number == 1 else f"_{number}"
            write_clip_words(folder / f"tokenizer{suffix}", pad)
            parts[f"tokenizer{suffix}"] = CLIPTokenizer.from_pretrained(
                folder / f"tokenizer{suffix}"
            )
            parts[f"text_encoder{suffix}"] = _text_encoder(family, width, number)
        parts["vae"] = tiny_autoencoder(0.13025 if family == "sdxl" else 0.18215)
        parts["unet"] = _unet(family)
    parts["scheduler"] = DDIMScheduler(
        **_BETAS,
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type="v_prediction" if family == "sd2" else "epsilon",
    )
    kind: Any = StableDiffusionXLPipeline if family == "sdxl" else StableDiffusionPipeline
    absent: dict[str, Any] = {"feature_extractor": None}
    if family != "sdxl":
        absent |= {"safety_checker": None, "requires_safety_checker": False}
    kind(**parts, **absent).save_pretrained(folder)


def _text_encoder(family: FamilyName, width: int, number: int) -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    is_open_clip = family == "sd2" or number == 2
    config = CLIPTextConfig(
        vocab_size=49_408,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=77,
        hidden_act="gelu" if is_open_clip else "quick_gelu",
        projection_dim=24 if number == 2 else width,
        # As published: so the text is pooled at the highest id, the end token's.
        eos_token_id=2,
    )
    model = (CLIPTextModelWithProjection if number == 2 else CLIPTextModel)(config)
    with torch.no_grad():
        # The library draws rows so small that all words would read alike.
        model.get_input_embeddings().weight.mul_(30)
    return model


def _unet(family: FamilyName) -> Any:
    from diffusers import UNet2DConditionModel

    more: dict[str, Any] = {}
    if family != "sd1":
        more |= {"use_linear_projection": True}
    if family == "sdxl":
        more |= {
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 8,
            "projection_class_embeddings_input_dim": 24 + 6 * 8,
            "transformer_layers_per_block": (1, 2),
            "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
            "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
        }
    described: dict[str, Any] = {
        "sample_size": 8,
        "block_out_channels": (16, 32),
        "layers_per_block": 1,
        "down_block_types": ("CrossAttnDownBlock2D",) * 2,
        "up_block_types": ("CrossAttnUpBlock2D",) * 2,
        "cross_attention_dim": sum(_WIDTHS[family]),
        "attention_head_dim": 2,
        "norm_num_groups": 8,
    }
    return UNet2DConditionModel(**described | more)
