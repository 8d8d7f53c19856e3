"""A Stable-Diffusion-1-shaped model with random weights, small enough for every test."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from cdcore.model.update import Block, DenseUpdate, FactoredUpdate, Update

if TYPE_CHECKING:
    from cdcore.model.base import Base

__all__ = ["random_update", "rescaled", "save_tiny_pipeline", "tiny_autoencoder"]


def tiny_autoencoder(scaling_factor: float = 0.18215) -> Any:
    """Return an autoencoder of 64 x 64 pixels and latents of (4, 8, 8), with random weights.

    Args:
        scaling_factor: Of its latents; Stable Diffusion 1's and 2's unless it is given.
    """
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=64,
        scaling_factor=scaling_factor,
    )


def save_tiny_pipeline(folder: Path, *, seed: int = 0, text_width: int = 32) -> None:
    """Write a pipeline with random weights, as diffusers itself saves one.

    It has the pocket tokenizer, 64 x 64 pixels, latents of (4, 8, 8) and text cross-attention at
    two resolutions.

    Args:
        folder: Where to.
        seed: Of the weights.
        text_width: Width d of the text features, a multiple of 2.
    """
    # Not at the top: that takes seconds, and most tests need no model.
    from diffusers import (
        DDIMScheduler,
        StableDiffusionPipeline,
        UNet2DConditionModel,
    )
    from transformers import CLIPTextConfig, CLIPTextModel

    from cdcore.pocket.networks.tokenizer import MAX_TOKENS, build_tokenizer
    from cdcore.pocket.scenes.caption import words

    tokenizer = build_tokenizer(words())
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        text_encoder = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=len(tokenizer),
                hidden_size=text_width,
                intermediate_size=2 * text_width,
                num_hidden_layers=2,
                num_attention_heads=2,
                max_position_embeddings=MAX_TOKENS,
                bos_token_id=tokenizer.bos_token_id,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.pad_token_id,
            )
        )
        vae = tiny_autoencoder()
        unet = UNet2DConditionModel(
            sample_size=8,
            block_out_channels=(16, 32),
            layers_per_block=1,
            down_block_types=("CrossAttnDownBlock2D",) * 2,
            up_block_types=("CrossAttnUpBlock2D",) * 2,
            cross_attention_dim=text_width,
            attention_head_dim=2,
            norm_num_groups=8,
        )
    pipeline: Any = StableDiffusionPipeline(
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=DDIMScheduler(
            beta_schedule="scaled_linear",
            beta_start=0.00085,
            beta_end=0.012,
            clip_sample=False,
            set_alpha_to_one=False,
            steps_offset=1,
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder)


def random_update(
    shape: tuple[int, int],
    *,
    seed: int = 0,
    rank: int | None = None,
    widths: Sequence[int] | None = None,
) -> Update:
    """Return an update large enough to show: dense, or factored when a rank is given.

    Args:
        shape: (D, d) of the K/V stack.
        seed: Of its values.
        rank: Of the two factors.
        widths: Rows of each matrix: then each has factors of its own, the first of one rank more.
    """
    generator = torch.Generator().manual_seed(seed)

    def draw(*sides: int) -> Tensor:
        return torch.randn(*sides, generator=generator) * 0.2

    if rank is None:
        return DenseUpdate(draw(*shape))
    if widths is not None:
        ranks = [rank + (number == 0) for number in range(len(widths))]
        return FactoredUpdate(
            tuple(
                (draw(width, own), draw(own, shape[1]))
                for width, own in zip(widths, ranks, strict=True)
            )
        )
    return FactoredUpdate(((draw(shape[0], rank), draw(rank, shape[1])),))


def rescaled(base: "Base", factor: float) -> "Base":
    """Return the base with another scaling factor of its latents; all weights are shared.

    A tiny pipeline has Stable Diffusion's own factor, so it cannot tell who reads the factor from
    who knows it by heart.
    """
    autoencoder = copy.copy(base.autoencoder)
    autoencoder.register_to_config(scaling_factor=factor)
    return replace(base, autoencoder=autoencoder)


def factors_of(update: Update) -> tuple[Block, ...]:
    """Return the factors of an update that is expected to have some."""
    assert isinstance(update, FactoredUpdate)
    return update.pairs
