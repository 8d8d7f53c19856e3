"""Pixels between images and tensors: RGB of 0 to 255 there, [-1, 1] here."""

import numpy as np
import torch
from PIL import Image
from torch import Tensor

__all__ = ["to_image", "to_pixels", "to_tensor"]


def to_tensor(image: Image.Image) -> Tensor:
    """Return an RGB image as pixels (3, H, W) float32 in [-1, 1]."""
    return to_pixels(torch.from_numpy(np.array(image, dtype=np.uint8))[None])[0]


def to_pixels(images_u8: Tensor) -> Tensor:
    """Turn (B, H, W, 3) uint8 into (B, 3, H, W) float32 in [-1, 1]."""
    return images_u8.permute(0, 3, 1, 2).float() / 127.5 - 1


def to_image(pixels: Tensor) -> Image.Image:
    """Return pixels (3, S, S) in [-1, 1] as an RGB image; values outside are clipped."""
    image_u8 = ((pixels.detach().float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return Image.fromarray(image_u8.permute(1, 2, 0).cpu().numpy())
