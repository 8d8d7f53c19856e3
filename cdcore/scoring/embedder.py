"""What scores pictures: whatever embeds them, and whatever embeds texts beside them."""

from typing import Protocol

from torch import Tensor

__all__ = ["Embedder", "PictureEmbedder"]


class Embedder(Protocol):
    """A picture tower and a text tower that the base was not trained with."""

    def embed_pictures(self, pixels: Tensor) -> Tensor:
        """Embed pixels (N, 3, S, S) in [-1, 1] as (N, d) rows of length 1."""

    def embed_texts(self, texts: list[str]) -> Tensor:
        """Embed texts as (N, d) rows of length 1."""


class PictureEmbedder(Protocol):
    """A picture tower that the base was not trained with."""

    def embed_pictures(self, pixels: Tensor) -> Tensor:
        """Embed pixels (N, 3, S, S) in [-1, 1] as (N, d) rows of length 1."""
