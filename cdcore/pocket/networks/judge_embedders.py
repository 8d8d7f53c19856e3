"""The judge of a pocket base as an embedder: a self-trained base's own, else the shipped one."""

import logging
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor

from cdcore.errors import BaseModelError, first_line
from cdcore.model.base import Base
from cdcore.model.location import POCKET_FOLDER
from cdcore.pocket.networks.judge import Judge
from cdcore.scoring.clip_dino import ImageTransform
from cdcore.scoring.embedder import Embedder

__all__ = ["JudgeEmbedder", "JudgeLook", "embedder_of", "judge_of"]

_JUDGE_PX = 64

_log = logging.getLogger(__name__)


class JudgeEmbedder:
    """The pocket's judge, for pictures of any size."""

    transform = ImageTransform(resize=_JUDGE_PX, crop=_JUDGE_PX)

    def __init__(self, judge: Judge) -> None:
        self._judge = judge

    @torch.no_grad()
    def embed_pictures(self, pixels: Tensor) -> Tensor:
        """Embed pixels (N, 3, H, W) in [-1, 1] as (N, d) rows of length 1."""
        return self._judge.embed_pictures(self.transform(pixels.to(self._judge.device)))

    @torch.no_grad()
    def embed_texts(self, texts: list[str]) -> Tensor:
        """Embed texts as (N, d) rows of length 1."""
        return self._judge.embed_texts(texts)


class JudgeLook:
    """What the judge's picture tower sees before any text: the pocket's counterpart of DINO."""

    transform = JudgeEmbedder.transform

    def __init__(self, judge: Judge) -> None:
        self._judge = judge

    def embed_pictures(self, pixels: Tensor) -> Tensor:
        """Embed pixels (N, 3, H, W) in [-1, 1] as (N, d) rows of length 1."""
        return self._judge.look(self.transform(pixels.to(self._judge.device)))


def judge_of(base: Base, *, needed: bool) -> Judge | None:
    """Return the judge of a base: its own where it has one, else the shipped one.

    Training and evaluation both ask here, so that one base has one scorer. A base's own judge that
    cannot be read is never replaced by the shipped one: figures of two scorers do not compare.

    Args:
        base: The base whose pictures are judged.
        needed: Whether a judge is wanted of any base; False looks for one of a pocket base alone.

    Returns:
        The judge on the base's device; None where none is needed and there is none. A judge that
        is not needed and cannot be read is named in the log.

    Raises:
        BaseModelError: A judge is needed and cannot be read.
    """
    if not base.is_pocket and not needed:
        return None
    own = Path(base.name) / "judge"
    folder = own if base.name != "pocket" and own.is_dir() else POCKET_FOLDER / "judge"
    try:
        return Judge.load(folder).to(base.device)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        reason = f"the judge in {folder} cannot be loaded ({first_line(error)})"
        if needed:
            raise BaseModelError(
                f"{reason}; pretrain one with rayjobs/pretrain.py, or give --clip and --dino"
            ) from error
        _log.warning(
            "%s, so pictures are not scored; pretrain one with rayjobs/pretrain.py", reason
        )
        return None


def embedder_of(base: Base) -> Embedder | None:
    """Return what scores a training run's pictures of a base, or None where nothing can.

    Pictures of a pocket base have the judge's own size, so that it takes them as they are;
    `JudgeEmbedder` is for pictures of any size.
    """
    return judge_of(base, needed=False)
