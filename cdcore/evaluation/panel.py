"""The panel: the embedders that score an evaluation, and what they make of pictures."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cdcore.evaluation.embeddings import CellRows
from cdcore.model.base import Base
from cdcore.pictures.picture_folder import Picture
from cdcore.pictures.pixels import to_tensor
from cdcore.pocket.networks.judge import Judge
from cdcore.pocket.networks.judge_embedders import JudgeEmbedder, JudgeLook, judge_of
from cdcore.pocket.scenes.scene import KINDS
from cdcore.scoring.clip_dino import CLIP_SOURCE, DINO_SOURCE, load_clip, load_dino
from cdcore.scoring.embedder import Embedder, PictureEmbedder

__all__ = ["JUDGE", "Panel", "PanelSources", "load_panel"]

JUDGE = "judge"
"""In place of a folder or a hub id: the judge of the pocket base."""

_BATCH = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class PanelSources:
    """Who scores.

    Attributes:
        clip: `JUDGE`, or a folder or hub id of a CLIP.
        dino: `JUDGE`, or a folder or hub id of a DINO or DINOv2.
    """

    clip: str
    dino: str

    @classmethod
    def of_base(cls, base: Base, clip: str | None, dino: str | None) -> "PanelSources":
        """Fill in what suits a base: the judge for the pocket, else those of the published tables.

        Args:
            base: To be scored.
            clip: None chooses.
            dino: None chooses.
        """
        chosen = (JUDGE, JUDGE) if base.is_pocket else (CLIP_SOURCE, DINO_SOURCE)
        return cls(clip=clip or chosen[0], dino=dino or chosen[1])


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Panel:
    """Embedders on one device.

    Attributes:
        clip: Pictures and texts.
        dino: Pictures by what is in them.
        judge: Finds things of the pocket world; None for other worlds.
    """

    clip: Embedder
    dino: PictureEmbedder
    judge: Judge | None

    @torch.no_grad()
    def rows(
        self, pixels: Tensor, texts: Sequence[str] = (), kinds: Sequence[str] = ()
    ) -> CellRows:
        """Embed sampled pictures, and look for things in them.

        Args:
            pixels: (B, 3, S, S) in [-1, 1].
            texts: The plain text of each picture, or none.
            kinds: What each of them should show; nobody looks where the judge does not know one.
        """
        text = None
        if texts:
            # Most pictures of a cell have the same text.
            distinct = list(dict.fromkeys(texts))
            embedded = self.clip.embed_texts(distinct)
            text = embedded[[distinct.index(one) for one in texts]]
        present = None
        if self.judge is not None and kinds and set(kinds) <= set(KINDS):
            shown = JudgeEmbedder.transform(pixels.to(self.judge.device))
            present = self.judge.finds_all(shown, kinds)
        return CellRows(
            clip=_in_batches(self.clip, pixels),
            dino=_in_batches(self.dino, pixels),
            text=text,
            present=present,
        )

    def picture_rows(self, pictures: Sequence[Picture]) -> CellRows:
        """Embed pictures of any size, at least one."""
        return CellRows.joined([self.rows(to_tensor(picture.image)[None]) for picture in pictures])


def load_panel(sources: PanelSources, base: Base) -> Panel:
    """Load the embedders beside a base.

    Args:
        sources: Who scores.
        base: They share its device; the judge of a pocket looks for things.

    Raises:
        BaseModelError: One cannot be found or read.
    """
    needs_judge = JUDGE in (sources.clip, sources.dino)
    judge = judge_of(base, needed=needs_judge)
    clip: Embedder
    dino: PictureEmbedder
    if sources.clip == JUDGE:
        assert judge is not None
        clip = JudgeEmbedder(judge)
    else:
        clip = load_clip(sources.clip, base.device)
    if sources.dino == JUDGE:
        assert judge is not None
        dino = JudgeLook(judge)
    else:
        dino = load_dino(sources.dino, base.device)
    return Panel(clip=clip, dino=dino, judge=judge)


def _in_batches(embedder: PictureEmbedder, pixels: Tensor) -> Tensor:
    return torch.cat([embedder.embed_pictures(part) for part in pixels.split(_BATCH)])
