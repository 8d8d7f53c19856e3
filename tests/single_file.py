"""A base as a checkpoint in one file, under the names that CompVis' and Stability's code gave it.

Written down from the published files, so that diffusers' loader is tried on what people have.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

__all__ = ["checkpoint_of"]

_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_UNET = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
_OPEN_CLIP = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
    "self_attn.out_proj": "attn.out_proj",
}
_VAE_ATTENTION = {
    "group_norm": "norm",
    "to_q": "q",
    "to_k": "k",
    "to_v": "v",
    "to_out.0": "proj_out",
}


def checkpoint_of(folder: Path, family: str) -> dict[str, Tensor]:
    """Return the tensors of a base's one file.

    Args:
        folder: Its diffusers folder.
        family: ``sd1``, ``sd2`` or ``sdxl``.
    """
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

    unet: Any = UNet2DConditionModel.from_pretrained(folder, subfolder="unet")
    vae: Any = AutoencoderKL.from_pretrained(folder, subfolder="vae")
    text: Any = CLIPTextModel.from_pretrained(folder, subfolder="text_encoder")
    made = {
        f"model.diffusion_model.{_unet_name(name, unet.config.layers_per_block)}": tensor
        for name, tensor in unet.state_dict().items()
    }
    for name, tensor in vae.state_dict().items():
        renamed = _vae_name(name, len(vae.config.block_out_channels))
        is_projection = re.search(r"mid\.attn_1\.(q|k|v|proj_out)\.weight", renamed)
        made[f"first_stage_model.{renamed}"] = tensor[..., None, None] if is_projection else tensor
    first = "cond_stage_model" if family != "sdxl" else "conditioner.embedders.0"
    if family == "sd2":
        made |= _open_clip(text.state_dict(), f"{first}.model.")
    else:
        made |= {
            f"{first}.transformer.text_model.{name.removeprefix('text_model.')}": tensor
            for name, tensor in text.state_dict().items()
        }
    if family == "sdxl":
        second: Any = CLIPTextModelWithProjection.from_pretrained(
            folder, subfolder="text_encoder_2"
        )
        made |= _open_clip(second.state_dict(), "conditioner.embedders.1.model.")
    return {name: tensor.clone().contiguous() for name, tensor in made.items()}


def _unet_name(name: str, layers: int) -> str:
    for plain, renamed in _UNET.items():
        if name.startswith(f"{plain}."):
            return name.replace(plain, renamed, 1)
    match = re.fullmatch(
        r"(?:(down|up)_blocks\.(\d+)|mid_block)\.(resnets|attentions|downsamplers|upsamplers)"
        r"\.(\d+)\.(.*)",
        name,
    )
    assert match is not None, name
    side, block, kind, number, rest = match.groups()
    at = int(block or 0) * (layers + 1) + int(number)
    if kind == "resnets":
        part, _, tail = rest.partition(".")
        rest = f"{_RESNET[part]}.{tail}"
    if side is None:
        return f"middle_block.{1 if kind == 'attentions' else 2 * int(number)}.{rest}"
    if kind == "downsamplers":
        return f"input_blocks.{at + layers + 1}.0.{rest.replace('conv', 'op')}"
    if kind == "upsamplers":
        # After the attention of that place, where there is one: so in all but the last level.
        return f"output_blocks.{at + layers}.2.{rest}"
    place = f"input_blocks.{at + 1}" if side == "down" else f"output_blocks.{at}"
    return f"{place}.{int(kind == 'attentions')}.{rest}"


def _vae_name(name: str, levels: int) -> str:
    name = name.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")
    name = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", name)
    for plain, renamed in _VAE_ATTENTION.items():
        name = name.replace(f"mid_block.attentions.0.{plain}.", f"mid.attn_1.{renamed}.")
    name = re.sub(r"down_blocks\.(\d)\.resnets", r"down.\1.block", name)
    name = re.sub(r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample", name)

    def up(match: re.Match[str]) -> str:
        kind = "block" if match[2] == "resnets" else "upsample"
        return f"up.{levels - 1 - int(match[1])}.{kind}"

    return re.sub(r"up_blocks\.(\d)\.(resnets|upsamplers\.0)", up, name)


def _open_clip(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    made, inner = {}, {key.removeprefix("text_model."): one for key, one in weights.items()}
    for name, tensor in inner.items():
        if name == "text_projection.weight":
            made["text_projection"] = tensor.T
        elif name == "embeddings.token_embedding.weight":
            made["token_embedding.weight"] = tensor
        elif name == "embeddings.position_embedding.weight":
            made["positional_embedding"] = tensor
        elif name.startswith("final_layer_norm."):
            made[name.replace("final_layer_norm", "ln_final")] = tensor
        elif name.startswith("encoder.layers."):
            made |= _open_clip_layer(name.removeprefix("encoder.layers."), tensor, inner)
    if "text_projection" not in made:
        made["text_projection"] = torch.eye(len(inner["final_layer_norm.weight"]))
    return {prefix + name: tensor for name, tensor in made.items()}


def _open_clip_layer(name: str, tensor: Tensor, inner: Mapping[str, Tensor]) -> dict[str, Tensor]:
    layer, _, rest = name.partition(".")
    place = f"transformer.resblocks.{layer}"
    match = re.fullmatch(r"self_attn\.([qkv])_proj\.(weight|bias)", rest)
    if match is not None:
        whole = [inner[f"encoder.layers.{layer}.self_attn.{x}_proj.{match[2]}"] for x in "qkv"]
        return {f"{place}.attn.in_proj_{match[2]}": torch.cat(whole)}
    for plain, renamed in _OPEN_CLIP.items():
        if rest.startswith(f"{plain}."):
            return {f"{place}.{rest.replace(plain, renamed, 1)}": tensor}
    raise AssertionError(name)
