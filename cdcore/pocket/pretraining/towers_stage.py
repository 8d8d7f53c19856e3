"""The towers' stage: texts and pictures learn to match, and words to say what they settle."""

import random
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional
from transformers import CLIPModel, CLIPTextModel, CLIPVisionModelWithProjection

from cdcore.files import replacing
from cdcore.pocket.networks.architecture import TEXT_WIDTH
from cdcore.pocket.networks.tokenizer import build_tokenizer
from cdcore.pocket.pretraining.album import Album
from cdcore.pocket.pretraining.reading import ReadingKey
from cdcore.pocket.pretraining.stage import (
    Stage,
    draw_prompts,
    matching_loss,
    open_towers,
    tokenize,
)
from cdcore.pocket.scenes.caption import words

__all__ = ["TowersStage"]

_READING_WEIGHT = 10.0


class TowersStage(Stage):
    """Trains the towers on drawings and their captions."""

    name = "towers"
    steps = 550
    batch = 128

    def __init__(
        self, folder: Path, work: Path, album: Album, rng: random.Random, device: torch.device
    ) -> None:
        super().__init__(album, rng, device)
        self._tokenizer = build_tokenizer(words())
        self._key = ReadingKey(self._tokenizer, TEXT_WIDTH)
        self.module = open_towers(folder, self._tokenizer).to(device)

    def loss(self, step: int) -> Tensor:
        """Draw a batch and return its loss."""
        indices, pixels = self.draw_pixels(self.batch)
        captions = draw_prompts(self._album, indices, self._rng)
        tokens = tokenize(self._tokenizer, captions, self._device)
        texts = self.module.text_model(input_ids=tokens)
        pictures = self.module.vision_model(pixel_values=pixels).pooler_output
        matching = matching_loss(
            functional.normalize(self.module.visual_projection(pictures), dim=-1),
            functional.normalize(self.module.text_projection(texts.pooler_output), dim=-1),
            self.module.logit_scale,
        )
        errors = (texts.last_hidden_state - self._key.rows(captions).to(self._device)).square()
        # The first end token stands for the whole text, which belongs to the contrastive loss.
        is_end = tokens == self._tokenizer.eos_token_id
        reading = errors[~(is_end & (is_end.cumsum(1) == 1))].mean()
        loss: Tensor = matching + _READING_WEIGHT * reading
        return loss

    def save(self, module: Any, folder: Path) -> None:
        """Write ``module`` to ``folder`` in half precision."""
        self._tokenizer.save_pretrained(folder / "tokenizer")
        _save_towers(module, folder)


def _save_towers(towers: CLIPModel, folder: Path) -> None:
    text = CLIPTextModel(towers.config.text_config)
    text.load_state_dict(towers.text_model.state_dict())
    picture = CLIPVisionModelWithProjection(towers.config.vision_config)
    picture.vision_model.load_state_dict(towers.vision_model.state_dict())
    picture.visual_projection.load_state_dict(towers.visual_projection.state_dict())
    text.half().save_pretrained(folder / "text_encoder")
    picture.half().save_pretrained(folder / "image_encoder")
    rest = {
        "text_projection.weight": towers.text_projection.weight.detach().half().contiguous(),
        "logit_scale": towers.logit_scale.detach().half(),
    }
    with replacing(folder / "text_projection.safetensors") as temporary:
        save_file(rest, temporary)
