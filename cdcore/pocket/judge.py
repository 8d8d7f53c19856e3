"""The judge: a contrastive pair and a scene classifier that the generator was not trained with.

All quality figures of the pocket world are its verdicts. It shares no weights, no training pictures
and no random seed with the base.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import CLIPModel, CLIPTokenizer

from cdcore.files import replacing
from cdcore.pocket.architecture import TEXT_WIDTH
from cdcore.pocket.scene import COLORS, KINDS, PLACES, Scene

__all__ = ["Judge", "SceneLabels", "SceneLogits", "label_scenes"]


@dataclass(frozen=True, kw_only=True, slots=True)
class SceneLogits:
    """What the classifier sees in each picture.

    Attributes:
        kinds: (B, kinds) logits that a thing of the kind is present.
        colors: (B, kinds, colors) logits of the colour of that thing.
        places: (B, places) logits.
    """

    kinds: Tensor
    colors: Tensor
    places: Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class SceneLabels:
    """The truth for each picture.

    Attributes:
        kinds: (B, kinds) in {0, 1}; whether a thing of the kind is present.
        colors: (B, kinds) class index of its colour; -1 when absent or present twice.
        places: (B,) class index.
    """

    kinds: Tensor
    colors: Tensor
    places: Tensor


def label_scenes(scenes: list[Scene]) -> SceneLabels:
    """Return the labels that a perfect judge would give."""
    kinds = torch.zeros(len(scenes), len(KINDS))
    colors = torch.full((len(scenes), len(KINDS)), -1)
    for row, scene in enumerate(scenes):
        for thing in scene.things:
            kind = KINDS.index(thing.kind)
            repeated = bool(kinds[row, kind])
            kinds[row, kind] = 1
            colors[row, kind] = -1 if repeated else COLORS.index(thing.color)
    places = torch.tensor([PLACES.index(scene.place) for scene in scenes])
    return SceneLabels(kinds=kinds, colors=colors, places=places)


class Judge(nn.Module):
    """Picture and text embeddings, and a scene classifier on the picture tower."""

    def __init__(self, towers: CLIPModel, tokenizer: CLIPTokenizer) -> None:
        super().__init__()
        self.towers = towers
        self.tokenizer = tokenizer
        outputs = len(KINDS) * (1 + len(COLORS)) + len(PLACES)
        self.classifier = nn.Sequential(
            nn.Linear(TEXT_WIDTH, 2 * TEXT_WIDTH), nn.GELU(), nn.Linear(2 * TEXT_WIDTH, outputs)
        )

    def embed_pictures(self, pixels: Tensor) -> Tensor:
        """Embed (B, 3, 64, 64) pixels in [-1, 1] as (B, d) rows of length 1."""
        return self.see(pixels)[0]

    def embed_texts(self, texts: list[str]) -> Tensor:
        """Embed texts as (B, d) rows of length 1."""
        tokens = self.tokenizer(
            texts, padding="max_length", truncation=True, return_tensors="pt"
        ).to(self.towers.device)
        pooled = self.towers.text_model(input_ids=tokens.input_ids).pooler_output
        return nn.functional.normalize(self.towers.text_projection(pooled), dim=-1)

    def see(self, pixels: Tensor) -> tuple[Tensor, SceneLogits]:
        """Return embeddings (B, d) and scene logits of (B, 3, 64, 64) pixels in [-1, 1]."""
        pooled = self.towers.vision_model(pixel_values=pixels).pooler_output
        embedding = nn.functional.normalize(self.towers.visual_projection(pooled), dim=-1)
        kinds, colors, places = self.classifier(pooled).split(
            [len(KINDS), len(KINDS) * len(COLORS), len(PLACES)], dim=-1
        )
        logits = SceneLogits(
            kinds=kinds, colors=colors.unflatten(-1, (len(KINDS), len(COLORS))), places=places
        )
        return embedding, logits

    def save(self, folder: Path) -> None:
        """Write the judge to ``folder`` in half precision.

        Raises:
            OSError: The folder cannot be written.
        """
        towers = CLIPModel(self.towers.config)
        towers.load_state_dict(self.towers.state_dict())
        towers.half().save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        weights = {name: value.half() for name, value in self.classifier.state_dict().items()}
        with replacing(folder / "classifier.safetensors") as temporary:
            save_file(weights, temporary)

    @classmethod
    def load(cls, folder: Path) -> "Judge":
        """Read a judge from ``folder``, in float32 and evaluation mode.

        Raises:
            OSError: The folder does not hold a judge.
        """
        towers = CLIPModel.from_pretrained(folder, dtype=torch.float32)
        judge = cls(towers, CLIPTokenizer.from_pretrained(folder))
        weights = load_file(folder / "classifier.safetensors")
        judge.classifier.load_state_dict({name: value.float() for name, value in weights.items()})
        return judge.eval().requires_grad_(False)
