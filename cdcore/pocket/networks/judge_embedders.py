"""The judge of a pocket base as an embedder: a self-trained base's own, else the shipped one."""

from pathlib import Path

import torch
from torch import Tensor

from cdcore.errors import BaseModelError
from cdcore.model.base import Base
from cdcore.model.location import POCKET_FOLDER
from cdcore.pocket.networks.judge import Judge
from cdcore.scoring.clip_dino import Preparation
from cdcore.scoring.embedder import Embedder

__all__ = ["JudgeEmbedder", "JudgeLook", "embedder_of", "judge_of"]

_JUDGE_PX = 64


class JudgeEmbedder:
    """The pocket's judge, for pictures of any size."""

    preparation = Preparation(resize=_JUDGE_PX, crop=_JUDGE_PX)

    def __init__(self, judge: Judge) -> None:
        self._judge = judge

    @torch.no_grad()
    def embed_pictures(self, pixels: Tensor) -> Tensor:
        """Embed pixels (N, 3, H, W) in [-1, 1] as (N, d) rows of length 1."""
        device = self._judge.logit_scale.device
        return self._judge.embed_pictures(self.preparation(pixels.to(device)))

    @torch.no_grad()
    def embed_texts(self, texts: list[str]) -> Tensor:
        """Embed texts as (N, d) rows of length 1."""
        return self._judge.embed_texts(texts)


class JudgeLook:
    """What the judge's picture tower sees before any text: the pocket's counterpart of DINO."""

    preparation = JudgeEmbedder.preparation

    def __init__(self, judge: Judge) -> None:
        self._judge = judge

    def embed_pictures(self, pixels: Tensor) -> Tensor:
        """Embed pixels (N, 3, H, W) in [-1, 1] as (N, d) rows of length 1."""
        return self._judge.look(self.preparation(pixels.to(self._judge.logit_scale.device)))


def judge_of(base: Base, *, needed: bool) -> Judge | None:
    """Return the judge of a base: its own where it has one, else the shipped one.

    Args:
        base: Whose pictures are judged.
        needed: Whether a judge is wanted of any base; False looks for one of a pocket base alone.

    Returns:
        The judge on the base's device; None where none is needed and there is none.

    Raises:
        BaseModelError: One is needed and cannot be read.
    """
    if not base.is_pocket and not needed:
        return None
    own = Path(base.name) / "judge"
    folder = own if base.name != "pocket" and own.is_dir() else POCKET_FOLDER / "judge"
    try:
        return Judge.load(folder).to(base.device)
    except (OSError, ValueError) as error:
        if not needed:
            return None
        raise BaseModelError(
            f"the judge in {folder} cannot be loaded ({error}); pretrain one with "
            "rayjobs/pretrain.py, or give --clip and --dino"
        ) from error


def embedder_of(base: Base) -> Embedder | None:
    """Return what judges pictures of a base, or None where there is nothing."""
    return judge_of(base, needed=False)
