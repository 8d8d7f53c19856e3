"""The judge: a contrastive pair and a scene classifier that the generator was not trained with.

All quality figures of the pocket world are its verdicts. It shares no weights, no training pictures
and no random seed with the base, and it sees by convolutions, where the base's own picture tower is
a transformer.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import (
    CLIPTextConfig,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    ResNetConfig,
    ResNetModel,
)

from cdcore.files import replacing
from cdcore.model.device import exact_float32
from cdcore.model.quiet_loading import quiet_loading
from cdcore.pocket.networks.architecture import TEXT_WIDTH, text_settings
from cdcore.pocket.scenes.scene import COLORS, KINDS, PLACES, Scene

__all__ = ["Judge", "SceneLabels", "SceneLogits", "label_scenes"]

_HEADS_FILE = "heads.safetensors"
_TOWERS = ("picture_tower", "text_tower")
_INITIAL_LOGIT_SCALE = 2.6592
"""log(1 / 0.07): the start of Radford et al. 2021 (CLIP, arXiv 2103.00020), section 2.5."""


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

    def __init__(
        self,
        picture_tower: ResNetModel,
        text_tower: CLIPTextModelWithProjection,
        tokenizer: CLIPTokenizer,
    ) -> None:
        super().__init__()
        self.picture_tower = picture_tower
        self.text_tower = text_tower
        self.tokenizer = tokenizer
        seen = picture_tower.config.hidden_sizes[-1]
        self.projection = nn.Linear(seen, TEXT_WIDTH, bias=False)
        self.logit_scale = nn.Parameter(torch.tensor(_INITIAL_LOGIT_SCALE))
        outputs = len(KINDS) * (1 + len(COLORS)) + len(PLACES)
        self.hidden = nn.Sequential(nn.Linear(seen, 2 * seen), nn.GELU())
        self.verdict = nn.Linear(2 * seen, outputs)

    @classmethod
    def untrained(cls, tokenizer: CLIPTokenizer, *, layers: int = 3) -> "Judge":
        """Build a judge with random weights.

        Args:
            tokenizer: Gives the vocabulary and the special tokens.
            layers: Transformer layers of the text tower.
        """
        pictures = ResNetConfig(
            embedding_size=32, hidden_sizes=[48, 96, 128], depths=[2, 2, 2], layer_type="basic"
        )
        texts = CLIPTextConfig(**text_settings(tokenizer, layers))
        return cls(ResNetModel(pictures), CLIPTextModelWithProjection(texts), tokenizer)

    @property
    def device(self) -> torch.device:
        """Where the judge lives; pixels from elsewhere are brought there."""
        return self.logit_scale.device

    def embed_pictures(self, pixels: Tensor) -> Tensor:
        """Embed (B, 3, 64, 64) pixels in [-1, 1] as (B, d) rows of length 1."""
        return self.see(pixels)[0]

    def embed_texts(self, texts: list[str]) -> Tensor:
        """Embed texts as (B, d) rows of length 1."""
        tokens = self.tokenizer(
            texts, padding="max_length", truncation=True, return_tensors="pt"
        ).to(self.device)
        rows = self.text_tower(input_ids=tokens.input_ids).text_embeds
        return nn.functional.normalize(rows, dim=-1)

    @exact_float32()
    def see(self, pixels: Tensor) -> tuple[Tensor, SceneLogits]:
        """Return embeddings (B, d) and scene logits of (B, 3, 64, 64) pixels in [-1, 1]."""
        pooled = self.picture_tower(pixel_values=pixels.to(self.device)).pooler_output.flatten(1)
        embedding = nn.functional.normalize(self.projection(pooled), dim=-1)
        kinds, colors, places = self.verdict(self.hidden(pooled)).split(
            [len(KINDS), len(KINDS) * len(COLORS), len(PLACES)], dim=-1
        )
        logits = SceneLogits(
            kinds=kinds, colors=colors.unflatten(-1, (len(KINDS), len(COLORS))), places=places
        )
        return embedding, logits

    @torch.no_grad()
    def finds_all(self, pixels: Tensor, kinds: Sequence[str]) -> Tensor:
        """Return whether each picture shows a thing of every kind, (B,) bool.

        A kind counts as present where its logit is positive, so where its probability is more than
        one half.

        Args:
            pixels: (B, 3, 64, 64) in [-1, 1].
            kinds: Out of `KINDS`.

        Raises:
            ValueError: The judge does not know one of the kinds.
        """
        unknown = [kind for kind in kinds if kind not in KINDS]
        if unknown:
            raise ValueError(f"no kind {unknown[0]!r} in the pocket world, expected {KINDS}")
        wanted = [KINDS.index(kind) for kind in kinds]
        return (self.see(pixels)[1].kinds[:, wanted] > 0).all(dim=1)

    @torch.no_grad()
    @exact_float32()
    def look(self, pixels: Tensor) -> Tensor:
        """Return what the picture tower sees before any text is thought of, (B, d) of length 1.

        Args:
            pixels: (B, 3, 64, 64) in [-1, 1].
        """
        pooled = self.picture_tower(pixel_values=pixels.to(self.device)).pooler_output.flatten(1)
        return nn.functional.normalize(pooled, dim=-1)

    def save(self, folder: Path) -> None:
        """Write the judge to ``folder`` in half precision.

        Raises:
            OSError: The folder cannot be written.
        """
        for name in _TOWERS:
            deepcopy(getattr(self, name)).half().save_pretrained(folder / name)
        self.tokenizer.save_pretrained(folder / "tokenizer")
        with replacing(folder / _HEADS_FILE) as temporary:
            save_file({name: value.half() for name, value in self._heads().items()}, temporary)

    @classmethod
    def load(cls, folder: Path) -> "Judge":
        """Read a judge from ``folder``, in float32 and evaluation mode.

        Raises:
            OSError: The folder does not hold a judge.
        """
        if not (folder / _HEADS_FILE).is_file():
            # The library would take the folder for a name on a hub.
            raise FileNotFoundError(f"{folder}: no file named {_HEADS_FILE}, so there is no judge")
        with quiet_loading():
            pictures = ResNetModel.from_pretrained(folder / "picture_tower", dtype=torch.float32)
            texts = CLIPTextModelWithProjection.from_pretrained(
                folder / "text_tower", dtype=torch.float32
            )
            tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
        judge = cls(pictures, texts, tokenizer)
        heads = load_file(folder / _HEADS_FILE)
        if heads.keys() != judge._heads().keys():
            raise OSError(f"{folder / _HEADS_FILE}: of another version; train the judge again")
        judge.load_state_dict({name: value.float() for name, value in heads.items()}, strict=False)
        return judge.eval().requires_grad_(False)

    def _heads(self) -> dict[str, Tensor]:
        """Return what is on top of the towers, by its name in the state dict."""
        return {
            name: value.detach()
            for name, value in self.state_dict().items()
            if name.split(".")[0] not in _TOWERS
        }
