"""What pictures of several concepts are worth, by a judge that the base was not trained with.

    kept         share of what a concept changes in pictures of its own prompts that is still there
    retention    image alignment of a concept's own prompts, over that of the concept alone
    together     share of pictures of all in which the judge finds every kind of thing
    text         alignment of pictures of all with their prompts, in ordinary words
    drift        what became of captions that name no concept, 0 is nothing

With P pictures of the concept alone, B of its class noun by the base and M by the method, for the
same prompts and seeds, kept is 1 - |M - P|^2 / |B - P|^2: 1 is the concept alone, 0 is as far from
it as the base. A method is a way to sample; all methods of a case share prompts and seeds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean

import torch
from torch import Tensor

from benchmarks.merging.quality_cases import ORDINARY, QualityCase
from cdcore.concepts.masked_sum import MaskedSum
from cdcore.model.base import Base
from cdcore.model.update import Update
from cdcore.pocket.drawing.individuals import INDIVIDUALS
from cdcore.pocket.networks.judge import Judge
from cdcore.pocket.scenes.scene import KINDS
from cdcore.sampling.pipeline import sample
from cdcore.sampling.request import Request
from cdcore.scoring.metrics import image_alignment, prior_drift, text_alignment

__all__ = ["Alone", "Panel", "Scores", "Way"]


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
    """The scores of one case, one method and one training seed.

    Attributes:
        kept: The mean over the concepts; at most 1.
        retention: The mean over the concepts.
        together: A share in [0, 1].
        text: A cosine.
        drift: A cosine distance.
    """

    kept: float
    retention: float
    together: float
    text: float
    drift: float


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Alone:
    """What a concept does where nothing else was merged.

    Attributes:
        alignment: Image alignment of its own prompts.
        pictures: The pictures of these prompts, (N, 3, S, S).
        plain: The base's pictures of the same prompts, with the class noun.
    """

    alignment: float
    pictures: Tensor
    plain: Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class Panel:
    """Looks at one case, whatever the method.

    Attributes:
        base: The base that samples.
        judge: The judge that scores.
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
    def alone(self, name: str, way: Way) -> Alone:
        """Look at one concept by itself.

        Args:
            name: The name of the concept.
            way: How to sample it alone.
        """
        noun = INDIVIDUALS[name].class_noun
        pictures = self._own(name, way)
        return Alone(
            alignment=self._alignment(name, pictures),
            pictures=pictures,
            plain=self._own(name, Way(update=None, tokens={}, phrases={name: noun})),
        )

    @torch.no_grad()
    def score(self, way: Way, alone: Mapping[str, Alone]) -> tuple[Scores, Tensor]:
        """Score one way to sample all concepts.

        Args:
            way: How to sample all concepts.
            alone: Each concept by itself.

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
        own = {name: self._own(name, way) for name in case.names}
        after = self.pictures(way, ORDINARY)
        scores = Scores(
            kept=fmean(_kept(own[name], alone[name]) for name in case.names),
            retention=fmean(
                self._alignment(name, own[name]) / alone[name].alignment for name in case.names
            ),
            together=float(found[:, wanted].all(dim=1).float().mean()),
            text=text_alignment(self._embedded(together), texts),
            drift=prior_drift(self._embedded(self._ordinary), self._embedded(after)),
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

    @cached_property
    def _ordinary(self) -> Tensor:
        return self.pictures(Way(update=None, tokens={}, phrases={}), ORDINARY)

    def _own(self, name: str, way: Way) -> Tensor:
        prompts = [text.format(way.phrases[name]) for text in self.case.own_prompts(name)]
        return self.pictures(way, prompts)

    def _alignment(self, name: str, pictures: Tensor) -> float:
        return image_alignment(self._embedded(pictures), self._embedded(self.targets[name]))

    @property
    def _device(self) -> torch.device:
        return next(self.judge.parameters()).device

    def _embedded(self, pixels: Tensor) -> Tensor:
        return self.judge.embed_pictures(pixels.to(self._device))


def _kept(pictures: Tensor, alone: Alone) -> float:
    lost = (pictures - alone.pictures).square().sum()
    return 1 - float(lost / (alone.plain - alone.pictures).square().sum())
