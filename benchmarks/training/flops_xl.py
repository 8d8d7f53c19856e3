"""A training step of either recipe at the shape of Stable Diffusion XL, for counting.

It has two text encoders, whose last hidden layers but one stand side by side, and its U-Net is also
told pooled text and picture sizes. This is on the ``meta`` device; see `benchmarks.training.flops`.
"""

from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextModel

from benchmarks.common.random_bases import SHAPES, text_model
from benchmarks.recipes.stock import install_processors
from benchmarks.training.flops import StepCost, reduced_bytes
from cdcore.model.seam import Seam
from cdcore.model.update import DenseUpdate
from cdcore.pocket.networks.tokenizer import build_tokenizer
from cdcore.pocket.scenes.caption import words
from cdcore.training.cost_estimate import counted_flops

__all__ = ["our_step_xl", "stock_step_xl"]


def our_step_xl() -> StepCost:
    """Count a step of this project's method; its rows have been prepared before."""
    model = _Model()
    seam = Seam(model.unet)
    with torch.device("meta"):
        update = nn.Parameter(torch.zeros(seam.layout.shape))
    targets = model.rows // 2

    def work() -> None:
        features = model.features(targets)
        cached = torch.zeros_like(features, requires_grad=False)
        text_kv = seam.project(
            torch.cat([features, cached]), DenseUpdate(update), first_token_gradient=False
        )
        model.predict(None, cross_attention_kwargs={"text_kv": text_kv}).sum().backward()

    return StepCost(
        flops=counted_flops(work),
        autoencoder=0,
        text_encoder=counted_flops(lambda: model.features(targets).sum().backward()),
        reduced_bytes=reduced_bytes(update, *model.tokens),
    )


def stock_step_xl() -> StepCost:
    """Count a step of the stock recipe."""
    model = _Model()
    layers = install_processors(model.unet)
    tables = [text.get_input_embeddings().weight for text in model.texts]

    def work() -> None:
        model.encode_pixels()
        model.predict(model.features(model.rows)).sum().backward()

    return StepCost(
        flops=counted_flops(work),
        autoencoder=counted_flops(model.encode_pixels),
        text_encoder=counted_flops(lambda: model.features(model.rows).sum().backward()),
        reduced_bytes=reduced_bytes(*layers.parameters(), *tables),
    )


class _Model:
    """The parts of Stable Diffusion XL, with one trained token embedding per text encoder."""

    def __init__(self) -> None:
        shape = SHAPES["sdxl"]
        self.rows = shape.profile.rows_per_step
        self._side: int = shape.autoencoder["sample_size"]
        tokenizer = build_tokenizer(words())
        with torch.device("meta"):
            self.texts: list[CLIPTextModel] = [
                text_model(described, tokenizer).requires_grad_(False) for described in shape.texts
            ]
            self.tokens = [
                nn.Parameter(torch.zeros(described["hidden_size"])) for described in shape.texts
            ]
            self.unet: Any = UNet2DConditionModel(**shape.unet).requires_grad_(False)
            self._autoencoder = AutoencoderKL(**shape.autoencoder).requires_grad_(False)

    @torch.no_grad()
    def encode_pixels(self) -> None:
        """Encode the pictures of a step."""
        pixels = torch.zeros(self.rows, 3, self._side, self._side, device="meta")
        self._autoencoder.encode(pixels)

    def features(self, prompts: int) -> Tensor:
        """Encode prompts that contain the token, (B, L, d)."""
        parts = []
        for text, token in zip(self.texts, self.tokens, strict=True):
            length = text.config.max_position_embeddings
            handle = text.get_input_embeddings().register_forward_hook(
                lambda _, __, embedded, token=token: embedded + token
            )
            ids = torch.zeros(prompts, length, dtype=torch.long, device="meta")
            parts.append(text(input_ids=ids, output_hidden_states=True).hidden_states[-2])
            handle.remove()
        return torch.cat(parts, dim=-1)

    def predict(self, features: Tensor | None, **more: Any) -> Tensor:
        """Run the U-Net on a step's latents, (B, 4, h, w)."""
        side = self._side // 8
        with torch.device("meta"):
            output: Tensor = self.unet(
                torch.zeros(self.rows, 4, side, side),
                torch.zeros(self.rows, dtype=torch.long),
                features,
                added_cond_kwargs={
                    "text_embeds": torch.zeros(self.rows, self.texts[-1].config.hidden_size),
                    "time_ids": torch.zeros(self.rows, 6),
                },
                **more,
            ).sample
        return output
