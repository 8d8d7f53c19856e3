"""Embedders: what sees pictures, and reads texts, to score a base that was not trained with it.

CLIP (Radford et al. 2021) embeds pictures and texts; the published tables have ViT-B/32. DINO
(Caron et al. 2021) and DINOv2 (Oquab et al. 2023) embed pictures by what is in them, not by what
words say of it; the published tables have ViT-S/16. Each comes from a folder as ``save_pretrained``
writes it, or from a model hub. Everything is computed in float32.

A picture is prepared as in the published protocol: its shorter side is resized (CLIP to 224, DINO
to 256 pixels, bicubic), and the middle square of 224 is taken. A model for smaller pictures has its
own size, and the same margin.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoConfig, CLIPModel, CLIPTokenizer, Dinov2Model, ViTModel

from cdcore.errors import BaseModelError, first_line
from cdcore.model.device import exact_float32
from cdcore.model.quiet_loading import quiet_loading

__all__ = [
    "CLIP_SOURCE",
    "DINO_SOURCE",
    "ClipEmbedder",
    "DinoEmbedder",
    "ImageTransform",
    "load_clip",
    "load_dino",
]

CLIP_SOURCE = "openai/clip-vit-base-patch32"
"""The CLIP of the published tables."""
DINO_SOURCE = "facebook/dino-vits16"
"""The DINO of the published tables."""

_CLIP_MEAN, _CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_CROP_PX = 224
_DINO_MARGIN = 256 / 224

_DINO_KINDS: dict[str, Any] = {"vit": ViTModel, "dinov2": Dinov2Model}
"""The class of a model by its type in config.json."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageTransform:
    """How a picture of any size becomes what a tower takes.

    Attributes:
        resize: The shorter side is brought to so many pixels.
        crop: Side of the middle square that is kept, at most ``resize``.
        mean: The mean that is taken off each colour, of pixels in [0, 1].
        std: The deviation that each colour is divided by.
    """

    resize: int
    crop: int
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)

    def __call__(self, pixels: Tensor) -> Tensor:
        """Return (N, 3, crop, crop) of pixels (N, 3, H, W) in [-1, 1]."""
        height, width = pixels.shape[-2:]
        short = min(height, width)
        if short != self.resize:
            size = [round(side * self.resize / short) for side in (height, width)]
            # Enlarged, a picture is only interpolated; made smaller, every pixel counts.
            pixels = functional.interpolate(
                pixels, size, mode="bicubic", antialias=short > self.resize
            ).clamp(-1, 1)
        top, left = ((side - self.crop) // 2 for side in pixels.shape[-2:])
        square = pixels[..., top : top + self.crop, left : left + self.crop]
        mean, std = (square.new_tensor(part).view(3, 1, 1) for part in (self.mean, self.std))
        return ((square + 1) / 2 - mean) / std


class ClipEmbedder:
    """CLIP's two towers."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        """Take a ``CLIPModel`` and its tokenizer."""
        self._model, self._tokenizer = model, tokenizer
        crop = min(model.config.vision_config.image_size, _CROP_PX)
        self.transform = ImageTransform(resize=crop, crop=crop, mean=_CLIP_MEAN, std=_CLIP_STD)

    @torch.no_grad()
    @exact_float32()
    def embed_pictures(self, pixels: Tensor) -> Tensor:
        """Embed pixels (N, 3, H, W) in [-1, 1] as (N, d) rows of length 1."""
        prepared = self.transform(pixels.to(self._model.device))
        seen = self._model.vision_model(pixel_values=prepared).pooler_output
        return functional.normalize(self._model.visual_projection(seen), dim=-1)

    @torch.no_grad()
    def embed_texts(self, texts: list[str]) -> Tensor:
        """Embed texts as (N, d) rows of length 1; what is too long is cut, as in the protocol."""
        longest = self._model.config.text_config.max_position_embeddings
        tokens = self._tokenizer(
            texts, padding="max_length", truncation=True, max_length=longest, return_tensors="pt"
        ).to(self._model.device)
        read = self._model.text_model(
            input_ids=tokens.input_ids, attention_mask=tokens.attention_mask
        ).pooler_output
        return functional.normalize(self._model.text_projection(read), dim=-1)


class DinoEmbedder:
    """A DINO or DINOv2 vision transformer: the class token after the last norm."""

    def __init__(self, tower: Any) -> None:
        """Take a ``ViTModel`` or a ``Dinov2Model``."""
        self._tower = tower
        crop = min(tower.config.image_size, _CROP_PX)
        self.transform = ImageTransform(
            resize=round(crop * _DINO_MARGIN), crop=crop, mean=_IMAGENET_MEAN, std=_IMAGENET_STD
        )

    @torch.no_grad()
    @exact_float32()
    def embed_pictures(self, pixels: Tensor) -> Tensor:
        """Embed pixels (N, 3, H, W) in [-1, 1] as (N, d) rows of length 1."""
        prepared = self.transform(pixels.to(self._tower.device))
        states = self._tower(pixel_values=prepared).last_hidden_state
        return functional.normalize(states[:, 0], dim=-1)


def load_clip(source: str = CLIP_SOURCE, device: torch.device | str = "cpu") -> ClipEmbedder:
    """Load a CLIP.

    Args:
        source: A folder, or a hub id.
        device: The device to put it on.

    Raises:
        BaseModelError: The model cannot be found or read.
    """
    try:
        tokenizer = CLIPTokenizer.from_pretrained(source)
        return ClipEmbedder(_loaded(CLIPModel, source, device), tokenizer)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise _unusable("CLIP", "--clip", source, error, CLIP_SOURCE) from error


def load_dino(source: str = DINO_SOURCE, device: torch.device | str = "cpu") -> DinoEmbedder:
    """Load a DINO or a DINOv2.

    Args:
        source: A folder, or a hub id.
        device: The device to put it on.

    Raises:
        BaseModelError: The model cannot be found or read, or is of another kind.
    """
    try:
        kind = AutoConfig.from_pretrained(source).model_type
        if kind not in _DINO_KINDS:
            raise ValueError(f"it is a {kind!r}, expected one of {', '.join(_DINO_KINDS)}")
        # A pooler is no part of DINO, and its weights would be random.
        settings = {"add_pooling_layer": False} if kind == "vit" else {}
        return DinoEmbedder(_loaded(_DINO_KINDS[kind], source, device, **settings))
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise _unusable("DINO", "--dino", source, error, DINO_SOURCE) from error


def _loaded(kind: Any, source: str, device: torch.device | str, **settings: Any) -> nn.Module:
    with quiet_loading():
        model: nn.Module = kind.from_pretrained(source, dtype=torch.float32, **settings)
    return model.to(device).eval().requires_grad_(False)


def _unusable(
    what: str, flag: str, source: str, error: Exception, published: str
) -> BaseModelError:
    reason = first_line(error)
    is_folder = Path(source).is_dir()
    remedy = "" if is_folder else f"; without a network give {flag} a folder that holds {published}"
    return BaseModelError(f"{what} {source!r} cannot be loaded: {reason}{remedy}")
