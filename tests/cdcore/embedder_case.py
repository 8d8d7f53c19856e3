"""Tiny random embedders in folders, as transformers itself saves them."""

from pathlib import Path

import torch

from cdcore.pocket.networks.tokenizer import MAX_TOKENS, build_tokenizer
from cdcore.pocket.scenes.caption import words

SIDE = 16
"""Of the pictures they take."""


def save_clip(folder: Path) -> Path:
    """A tiny random CLIP, whole, as transformers itself saves one."""
    from transformers import CLIPConfig, CLIPModel

    tokenizer = build_tokenizer(words())
    layers = {"num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = CLIPConfig(
        text_config={
            **layers,
            "hidden_size": 8,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": MAX_TOKENS,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
        },
        vision_config={**layers, "hidden_size": 12, "image_size": SIDE, "patch_size": 8},
        projection_dim=6,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        CLIPModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def dino_folder(folder: Path, kind: str) -> Path:
    """A tiny random DINO ("vit") or DINOv2 ("dinov2")."""
    from transformers import Dinov2Config, Dinov2Model, ViTConfig, ViTModel

    model, config = {"vit": (ViTModel, ViTConfig), "dinov2": (Dinov2Model, Dinov2Config)}[kind]
    settings = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model(config(**settings, image_size=SIDE, patch_size=8)).save_pretrained(folder)
    return folder
