"""What pictures of several concepts are worth, by a judge that the base was not trained with.

    retention    image alignment of a concept's own prompts, over that of the concept alone
    together     share of pictures of all in which the judge finds every kind of thing
    text         alignment of pictures of all with their prompts, in ordinary words
    drift        what became of captions that name no concept, 0 is nothing

A method is a way to sample; all methods of a case share prompts and seeds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import torch
from torch import Tensor

from benchmarks.quality_cases import ORDINARY, QualityCase
from cdcore.base import Base
from cdcore.masked_sum import MaskedSum
from cdcore.metrics import image_alignment, prior_drift, text_alignment
from cdcore.pocket.individuals import INDIVIDUALS
from cdcore.pocket.judge import Judge
from cdcore.pocket.scene import KINDS
from cdcore.sampling import Request, sample
from cdcore.update import Update

__all__ = ["Panel", "Scores", "Way"]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Way:
    """One way to sample concepts.

    Attributes:
        update: On the base's device; None is the base itself.
        tokens: The row of each modifier token.
        phrases: How a prompt names each individual.
    """

    update: Update | MaskedSum | None
    tokens: Mapping[str, Tensor]
    phrases: dict[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Scores:
    """Of one case, one method and one training seed.

    Attributes:
        retention: Mean over the concepts.
        together: In [0, 1].
        text: Cosine.
        drift: Cosine distance.
    """

    retention: float
    together: float
    text: float
    drift: float


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Panel:
    """Looks at one case, whatever the method.

    Attributes:
        base: Samples.
        judge: Scores.
        case: What to show.
        targets: Pictures (M, 3, S, S) that each concept should resemble.
        seeds: A picture for each seed and prompt.
    """

    base: Base
    judge: Judge
    case: QualityCase
    targets: Mapping[str, Tensor]
    seeds: Sequence[int]

    @torch.no_grad()
    def alignment(self, name: str, way: Way) -> float:
        """Return the image alignment of one concept's own prompts."""
        prompts = [text.format(way.phrases[name]) for text in self.case.own_prompts(name)]
        shown = self._embedded(self.pictures(way, prompts))
        return image_alignment(shown, self._embedded(self.targets[name]))

    @torch.no_grad()
    def score(self, way: Way, alone: Mapping[str, float]) -> tuple[Scores, Tensor]:
        """Score one way to sample all concepts.

        Args:
            way: To sample all concepts.
            alone: Image alignment of each concept alone.

        Returns:
            The scores, and the pictures of all together, (seeds, prompts, 3, S, S).
        """
        case = self.case
        together = self.pictures(way, case.together_prompts(way.phrases))
        found = self.judge.see(together.to(self._device))[1].kinds > 0
        wanted = [KINDS.index(kind) for kind in case.kinds]
        nouns = {name: INDIVIDUALS[name].class_noun for name in case.names}
        plain = case.together_prompts(nouns)
        texts = self.judge.embed_texts([text for _ in self.seeds for text in plain])
        before = self.pictures(Way(update=None, tokens={}, phrases={}), ORDINARY)
        after = self.pictures(way, ORDINARY)
        scores = Scores(
            retention=fmean(self.alignment(name, way) / alone[name] for name in case.names),
            together=float(found[:, wanted].all(dim=1).float().mean()),
            text=text_alignment(self._embedded(together), texts),
            drift=prior_drift(self._embedded(before), self._embedded(after)),
        )
        return scores, together.unflatten(0, (len(self.seeds), len(plain)))

    def pictures(self, way: Way, prompts: Sequence[str]) -> Tensor:
        """Sample each prompt for each seed: (seeds * prompts, 3, S, S)."""
        return sample(
            self.base,
            [
                Request.of_profile(self.base, prompt, seed, update=way.update, tokens=way.tokens)
                for seed in self.seeds
                for prompt in prompts
            ],
        )

    @property
    def _device(self) -> torch.device:
        return next(self.judge.parameters()).device

    def _embedded(self, pixels: Tensor) -> Tensor:
        return self.judge.embed_pictures(pixels.to(self._device))
