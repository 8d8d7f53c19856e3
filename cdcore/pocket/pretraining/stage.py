"""A stage of pretraining, and what stages share: batches, prompts, the matching loss, files."""

import random
from abc import ABC, abstractmethod
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional
from transformers import CLIPModel, CLIPTextModel, CLIPTokenizer, CLIPVisionModelWithProjection

from cdcore.pocket.networks.architecture import build_autoencoder, build_towers
from cdcore.pocket.pretraining.album import Album
from cdcore.pocket.pretraining.reading import with_odd_word
from cdcore.pocket.pretraining.stage_names import StageName
from cdcore.pocket.scenes.caption import full_caption

__all__ = [
    "Stage",
    "draw_captions",
    "draw_prompts",
    "load_part",
    "matching_loss",
    "open_autoencoder",
    "open_towers",
    "save_half",
    "tokenize",
]

_ODD_WORD_SHARE = 0.1


class Stage(ABC):
    """One stage: a module to train, its loss, and how the result is stored.

    Attributes:
        name: The stage's name.
        steps: Planned steps.
        average_decay: Decay of the running average of the weights, which is what is stored.
        module: An ``nn.Module`` that holds everything that trains.
        matrix_learning_rate: The rate of hidden matrices, which Muon updates.
        learning_rate: The rate of all other parameters, which AdamW updates.
        generator: Every number of a batch is drawn from it, captions aside. It is on the CPU, so
            that a seed means the same on every device.
    """

    name: StageName
    steps: int
    average_decay = 0.999
    module: Any
    matrix_learning_rate = 0.02
    learning_rate = 2e-3

    def __init__(self, album: Album, rng: random.Random, device: torch.device) -> None:
        """Take what to train on.

        Args:
            album: The pictures.
            rng: Words the captions.
            device: Where to train.
        """
        self._album, self._rng, self._device = album, rng, device
        self.generator = torch.Generator().manual_seed(rng.getrandbits(62))

    @abstractmethod
    def loss(self, step: int) -> Tensor:
        """Draw a batch and return its loss."""

    def draw_pixels(self, count: int) -> tuple[Tensor, Tensor]:
        """Draw pictures: their indices (count,), and pixels (count, 3, S, S) in [-1, 1]."""
        indices = torch.randint(len(self._album), (count,), generator=self.generator)
        pixels = self._album.pixels(indices).to(self._device)
        return indices, pixels.contiguous(memory_format=torch.channels_last)

    @abstractmethod
    def save(self, module: Any, folder: Path) -> None:
        """Write ``module``, a copy with averaged weights, to ``folder`` in half precision."""


def draw_captions(album: Album, indices: Tensor, rng: random.Random) -> list[str]:
    """Caption pictures, half of them with all that is there and half loosely."""
    loose = album.captions(indices, rng)
    full = [full_caption(album.scenes[index]) for index in indices.tolist()]
    return [rng.choice(pair) for pair in zip(loose, full, strict=True)]


def draw_prompts(album: Album, indices: Tensor, rng: random.Random) -> list[str]:
    """Word captions as users do: with more or less of what is there, and now and then odd."""
    return [
        with_odd_word(text, rng) if rng.random() < _ODD_WORD_SHARE else text
        for text in draw_captions(album, indices, rng)
    ]


def tokenize(tokenizer: CLIPTokenizer, texts: list[str], device: torch.device) -> Tensor:
    """Return the ids (B, length) of texts, padded."""
    encoded = tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt")
    ids: Tensor = encoded.input_ids.to(device)
    return ids


def matching_loss(pictures: Tensor, texts: Tensor, logit_scale: Tensor) -> Tensor:
    """The symmetric loss of Radford et al. 2021 (CLIP, arXiv 2103.00020), section 2.3."""
    logits = pictures @ texts.T * logit_scale.clamp(max=4.6052).exp()
    truth = torch.arange(len(logits), device=logits.device)
    return (functional.cross_entropy(logits, truth) + functional.cross_entropy(logits.T, truth)) / 2


def load_part(kind: type[Any], folder: Path) -> Any | None:
    """Load a part of a base in float32; None where the folder does not hold it yet."""
    return kind.from_pretrained(folder).float() if folder.exists() else None


def open_autoencoder(folder: Path) -> AutoencoderKL:
    """Return the autoencoder of the base so far, or one of random weights."""
    return load_part(AutoencoderKL, folder / "vae") or build_autoencoder()


def open_towers(folder: Path, tokenizer: CLIPTokenizer) -> CLIPModel:
    """Return the towers of the base so far, or ones of random weights."""
    towers = build_towers(tokenizer)
    if (folder / "text_encoder").exists():
        text = CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=torch.float32)
        picture = CLIPVisionModelWithProjection.from_pretrained(
            folder / "image_encoder", dtype=torch.float32
        )
        rest = load_file(folder / "text_projection.safetensors")
        towers.text_model.load_state_dict(text.state_dict())
        towers.vision_model.load_state_dict(picture.vision_model.state_dict())
        towers.visual_projection.load_state_dict(picture.visual_projection.state_dict())
        towers.text_projection.weight.data.copy_(rest["text_projection.weight"])
        towers.logit_scale.data.copy_(rest["logit_scale"])
    return towers


def save_half(module: Any, folder: Path) -> None:
    """Write a copy of a diffusers or transformers model in half precision."""
    # Not by from_config: it drops a setting that the model was first built without.
    deepcopy(module).half().save_pretrained(folder, max_shard_size="14500KB")
