"""The contrastive towers of a pocket base: its own text encoder and a picture tower beside it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional
from transformers import CLIPTextModel, CLIPTokenizer, CLIPVisionModelWithProjection

__all__ = ["Towers"]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Towers:
    """Embeds pictures and texts in one space, as Radford et al. 2021 (CLIP, arXiv 2103.00020).

    Attributes:
        tokenizer: The tokenizer of the base.
        text_tower: The base's text encoder.
        picture_tower: With its projection.
        text_projection: (d, d) float32.
    """

    tokenizer: Any = field(repr=False)
    text_tower: Any = field(repr=False)
    picture_tower: Any = field(repr=False)
    text_projection: Tensor = field(repr=False)

    @classmethod
    def load(cls, folder: Path, device: torch.device | str = "cpu") -> "Towers":
        """Read the towers of the base in ``folder``, in float32 and evaluation mode.

        Raises:
            OSError: The folder does not hold a pocket base.
        """
        projections = load_file(folder / "text_projection.safetensors")
        text = CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=torch.float32)
        picture = CLIPVisionModelWithProjection.from_pretrained(
            folder / "image_encoder", dtype=torch.float32
        )
        return cls(
            tokenizer=CLIPTokenizer.from_pretrained(folder / "tokenizer"),
            text_tower=text.to(device).eval().requires_grad_(False),
            picture_tower=picture.to(device).eval().requires_grad_(False),
            text_projection=projections["text_projection.weight"].to(device).float(),
        )

    @torch.no_grad()
    def embed_pictures(self, pixels: Tensor) -> Tensor:
        """Embed (B, 3, 64, 64) pixels in [-1, 1] as (B, d) rows of length 1."""
        rows: Tensor = self.picture_tower(pixel_values=pixels).image_embeds
        return functional.normalize(rows, dim=-1)

    @torch.no_grad()
    def embed_texts(self, texts: list[str]) -> Tensor:
        """Embed texts as (B, d) rows of length 1."""
        encoded = self.tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt")
        ids = encoded.input_ids.to(self.text_projection.device)
        pooled: Tensor = self.text_tower(input_ids=ids).pooler_output
        return functional.normalize(pooled @ self.text_projection.T, dim=-1)
