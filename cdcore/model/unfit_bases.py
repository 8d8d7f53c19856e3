"""Bases that no concept can be taught to: each is named in one line, with what would do.

Custom Diffusion changes the keys and values that a U-Net computes from text features, and the seam
makes them an input. So it needs a U-Net that draws from noise and text alone. What a base is shows
in its small files, or in the names and shapes of a checkpoint: nothing is loaded for it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cdcore.errors import BaseModelError

__all__ = ["check_checkpoint", "check_configuration"]

_WOULD_DO = "give a base that draws from text alone: Stable Diffusion 1, 2 or XL, or 'pocket'"

_Config = Mapping[str, Any]
_Shapes = Mapping[str, Sequence[int]]

_PIPELINES: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        ("StableDiffusion3", "Flux", "AuraFlow", "QwenImage", "HiDream", "Chroma", "ZImage"),
        "a model whose text and picture share one attention (MM-DiT, such as Stable Diffusion 3, "
        "Flux or Qwen-Image)",
    ),
    (
        ("PixArt", "Sana", "HunyuanDiT", "Lumina", "CogView", "Kolors", "Allegro"),
        "a transformer or a U-Net with a text encoder that is not CLIP's (such as PixArt, Sana or "
        "Kolors)",
    ),
    (
        ("Video", "Wan", "Mochi", "LTX", "AnimateDiff", "Cosmos", "I2VGen", "Motion"),
        "a model of video",
    ),
    (
        ("Kandinsky", "Wuerstchen", "StableCascade", "UnCLIP", "IFPipeline", "StableUnCLIP"),
        "a model that draws from an embedding of a picture or in several stages (such as "
        "Kandinsky, Stable Cascade or DeepFloyd IF)",
    ),
    (("Upscale", "SuperResolution"), "a model that enlarges pictures"),
    (("InstructPix2Pix",), "a model that edits pictures (InstructPix2Pix)"),
    (("Depth2Img",), "a model that also reads a depth map"),
)
"""Words in the name of a diffusers pipeline, and what such a model is."""

_OF_CHANNELS = {
    9: ("an inpainting model (its U-Net reads 9 channels: a mask and a masked picture too)", "its"),
    5: ("a depth model (its U-Net reads 5 channels: a depth map too)", "its"),
    8: ("an editing model (its U-Net reads 8 channels: the picture to edit too)", "its"),
    7: ("an upscaler (its U-Net reads 7 channels: the small picture too)", "another"),
}
"""By the U-Net's channels where a latent has four."""

_LATENT_CHANNELS = 4
_REFINER_WIDTH = 1280
_REFINER = (
    "the refiner of Stable Diffusion XL, which only finishes what the base has drawn; give the "
    "base itself, such as stabilityai/stable-diffusion-xl-base-1.0"
)
_MM_DIT = "a model whose text and picture share one attention (MM-DiT)"
_DIT = "a diffusion transformer"

_FOREIGN_KEYS: tuple[tuple[Callable[[str], bool], str], ...] = (
    (lambda key: ".joint_blocks." in key or key.startswith("joint_blocks."), _MM_DIT),
    (lambda key: "double_blocks." in key or "single_transformer_blocks." in key, _MM_DIT),
    (lambda key: ".time_stack." in key or "temporal_" in key, "a model of video"),
    (lambda key: "motion_modules." in key, "a motion module for video"),
    (lambda key: key.startswith(("lora_", "base_model.model.")), "a LoRA, which changes a base"),
    (lambda key: "control_model." in key or "controlnet_" in key, "a ControlNet"),
    (lambda key: "adaln_single." in key or "t_embedder." in key, _DIT),
    (
        lambda key: key.startswith(("down_blocks.", "unet.down_blocks.")),
        "a part of a diffusers folder alone; give the whole folder",
    ),
)
"""What names in a checkpoint show."""


def check_configuration(name: str, configs: Mapping[str, _Config]) -> None:
    """Refuse a base whose configuration shows that it is of no use.

    Args:
        name: What the user calls the base.
        configs: What its small files say, by the name of the part: ``pipeline`` (its
            ``model_index.json``), ``unet``, ``transformer``, ``vae``, ``text_encoder`` and
            ``text_encoder_2``; empty where there is no such file.

    Raises:
        BaseModelError: Names what it is.
    """
    kind = (
        _of_unet(configs.get("unet", {}), configs.get("vae", {}))
        or _of_pipeline(str(configs.get("pipeline", {}).get("_class_name", "")))
        or _of_parts(configs)
    )
    if kind is not None:
        raise BaseModelError(_refusal(name, kind))


def check_checkpoint(name: str, shapes: _Shapes) -> None:
    """Refuse a checkpoint in one file whose names and shapes show that it is of no use.

    Args:
        name: What the user calls the base.
        shapes: The shape of each tensor, by its name.

    Raises:
        BaseModelError: Names what it is.
    """
    kind = next((what for test, what in _FOREIGN_KEYS if any(map(test, shapes))), None)
    first = shapes.get("model.diffusion_model.input_blocks.0.0.weight")
    if kind is None and first is None:
        kind = "no whole checkpoint (it has no U-Net under Stable Diffusion's own names)"
    elif kind is None and first is not None and len(first) == 4 and first[1] != _LATENT_CHANNELS:
        kind = _of_channels(first[1])
    elif kind is None and "conditioner.embedders.0.model.ln_final.weight" in shapes:
        kind = _REFINER
    if kind is not None:
        raise BaseModelError(_refusal(name, kind))


def _refusal(name: str, kind: str) -> str:
    remedy = "" if "; give" in kind else f"; {_WOULD_DO}"
    return f"base {name!r} is {kind}{remedy}"


def _of_unet(unet: _Config, vae: _Config) -> str | None:
    if not unet:
        return None
    if unet.get("_class_name", "UNet2DConditionModel") != "UNet2DConditionModel":
        return _of_class(str(unet["_class_name"]))
    channels = unet.get("in_channels")
    if channels is not None and channels != vae.get("latent_channels", channels):
        return _of_channels(channels)
    if unet.get("addition_embed_type") == "text_time":
        width = unet.get("cross_attention_dim")
        return _REFINER if width == _REFINER_WIDTH else None
    if unet.get("addition_embed_type") or unet.get("encoder_hid_dim_type"):
        return "a model whose U-Net reads embeddings of pictures or of another text encoder"
    if unet.get("class_embed_type") or unet.get("num_class_embeds"):
        return "a model whose U-Net also reads a class or an embedding of a picture"
    if unet.get("time_cond_proj_dim"):
        return (
            "a model distilled to few steps (LCM), which cannot be taught; give the model that it "
            "was distilled from"
        )
    return None


def _of_channels(channels: int) -> str:
    what, whose = _OF_CHANNELS.get(
        channels, (f"a model whose U-Net reads {channels} channels, not a latent's", "another")
    )
    if whose == "its":
        return f"{what}; give the text-to-image model that it was made from"
    return what


def _of_class(name: str) -> str:
    is_video = any(part in name for part in ("3D", "Motion", "Temporal", "Video"))
    return f"{'a model of video' if is_video else 'a model of another kind'} ({name})"


def _of_pipeline(name: str) -> str | None:
    for words, what in _PIPELINES:
        if any(word in name for word in words):
            return f"{what}: {name}"
    return None


def _of_parts(configs: Mapping[str, _Config]) -> str | None:
    transformer = configs.get("transformer", {})
    if transformer and not configs.get("unet"):
        return f"{_DIT} ({transformer.get('_class_name', 'unknown')})"
    for part in ("text_encoder", "text_encoder_2"):
        kind = configs.get(part, {}).get("model_type", "clip_text_model")
        if kind not in {"clip_text_model", "clip"}:
            return f"a model that reads with {kind!r}, not with CLIP's text encoder"
    return None
