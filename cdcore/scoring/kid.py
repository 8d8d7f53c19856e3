"""KID: how far generated pictures are from real ones, as the squared MMD of a cubic kernel.

    k(x, y) = (x . y / d + 1)^3        KID = E k(x, x') + E k(y, y') - 2 E k(x, y)

x real, y generated, both features of d numbers; the unbiased estimate of Binkowski et al. 2018
(arXiv 1801.01401), section 4, as the mean over random subsets. torchmetrics computes it. Tables
give it times 1000. Features other than Inception's give figures of another scale: they can be
compared with each other, not with published ones.
"""

import math
import warnings
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cdcore.errors import ConfigError
from cdcore.scoring.embedder import PictureEmbedder

__all__ = ["EmbedderFeatures", "KernelDistance", "kernel_distance"]

_MOST_OF_A_SUBSET = 1000
_BATCH = 50


class EmbedderFeatures(nn.Module):
    """An embedder as a feature module: rows of length sqrt(d), so that x . y / d is a cosine."""

    def __init__(self, embedder: PictureEmbedder) -> None:
        super().__init__()
        self._embedder = embedder

    def forward(self, pixels: Tensor) -> Tensor:
        """Return features (N, d) of pixels (N, 3, S, S) in [-1, 1]."""
        return self.scaled(self._embedder.embed_pictures(pixels))

    @staticmethod
    def scaled(rows: Tensor) -> Tensor:
        """Return the features (N, d) that embeddings (N, d) of length 1 stand for."""
        return rows * math.sqrt(rows.shape[1])


@dataclass(frozen=True, kw_only=True, slots=True)
class KernelDistance:
    """KID, not yet times 1000.

    Attributes:
        mean: Over subsets; about 0 for pictures of one source, and as an unbiased estimate at times
            a little below.
        spread: Standard deviation over subsets.
    """

    mean: float
    spread: float


def kernel_distance(
    generated: Tensor,
    real: Tensor,
    *,
    features: nn.Module,
    subsets: int = 100,
    subset_size: int | None = None,
    seed: int = 0,
) -> KernelDistance:
    """Compute the KID of two sets of pictures.

    Args:
        generated: (N, ...), whatever ``features`` takes: pixels, or rows where it is
            ``nn.Identity()``.
        real: (M, ...) likewise.
        features: Maps a batch of pictures to (B, d).
        subsets: How many random subsets, at least 1.
        subset_size: Pictures of either side in a subset, at least 2; None takes as many as there
            are, at most 1000.
        seed: The seed of the subsets.

    Raises:
        ConfigError: There are fewer pictures than a subset needs.
    """
    # It takes seconds to import, and most of the package does without.
    from torchmetrics.image.kid import KernelInceptionDistance

    fewest = min(len(generated), len(real))
    size = min(fewest, _MOST_OF_A_SUBSET) if subset_size is None else subset_size
    if not 2 <= size <= fewest:
        raise ConfigError(
            f"KID of {len(generated)} generated and {len(real)} real pictures in subsets of "
            f"{size}; expected subsets of 2 pictures or more, and no fewer pictures of either side"
        )
    with warnings.catch_warnings(), torch.no_grad(), torch.random.fork_rng(devices=[]):
        # That it keeps all features in memory is what is wanted.
        warnings.filterwarnings("ignore", message="Metric `Kernel Inception Distance`")
        metric = KernelInceptionDistance(feature=features, subsets=subsets, subset_size=size)
        for batch in generated.split(_BATCH):
            metric.update(batch, real=False)
        for batch in real.split(_BATCH):
            metric.update(batch, real=True)
        # torchmetrics draws its subsets from the global generator.
        torch.manual_seed(seed)
        mean, spread = metric.compute()
    return KernelDistance(mean=float(mean), spread=float(spread))
