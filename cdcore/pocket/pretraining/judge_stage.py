"""The judge's stage: on drawings of its own, it learns to match captions and name things."""

import random
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from cdcore.pocket.networks.judge import Judge, label_scenes
from cdcore.pocket.networks.tokenizer import build_tokenizer
from cdcore.pocket.pretraining.album import Album
from cdcore.pocket.pretraining.stage import Stage, draw_captions, matching_loss
from cdcore.pocket.scenes.caption import words
from cdcore.pocket.scenes.scene import KINDS

__all__ = ["JudgeStage"]


class JudgeStage(Stage):
    """Trains the judge on drawings that the base never sees."""

    name = "judge"
    steps = 1000
    matrix_learning_rate = 0.1
    batch = 96

    def __init__(
        self, folder: Path, work: Path, album: Album, rng: random.Random, device: torch.device
    ) -> None:
        super().__init__(album, rng, device)
        judge_folder = folder / "judge"
        if judge_folder.exists():
            judge = Judge.load(judge_folder).train().requires_grad_(True)
        else:
            tokenizer = build_tokenizer(words())
            judge = Judge.untrained(tokenizer)
        self.module = judge.to(device)

    def loss(self, step: int) -> Tensor:
        """Draw a batch and return its loss."""
        indices, pixels = self.draw_pixels(self.batch)
        captions = draw_captions(self._album, indices, self._rng)
        pictures, logits = self.module.see(pixels)
        texts = self.module.embed_texts(captions)
        labels = label_scenes([self._album.scenes[index] for index in indices.tolist()])
        return (
            matching_loss(pictures, texts, self.module.logit_scale)
            + len(KINDS)
            * functional.binary_cross_entropy_with_logits(
                logits.kinds, labels.kinds.to(self._device)
            )
            + functional.cross_entropy(
                logits.colors.flatten(0, 1),
                labels.colors.flatten().to(self._device),
                ignore_index=-1,
            )
            + functional.cross_entropy(logits.places, labels.places.to(self._device))
        )

    def save(self, module: Any, folder: Path) -> None:
        """Write ``module`` to ``folder`` in half precision."""
        module.save(folder / "judge")
