"""How good a pocket base is, by a judge that the base was not trained with.

The questions are full captions of pictures from a world that nothing was trained on. The base draws
each caption, and the judge says what it sees. Beside each figure stand the judge's own on the
pictures themselves, and on them after the autoencoder: no base with that autoencoder can do better.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from cdcore.model.base import Base
from cdcore.pocket.examination.exam import EXAM_SEED, Exam, draw_exam, is_pair, is_single
from cdcore.pocket.examination.showcase import generate, reconstruct
from cdcore.pocket.networks.judge import Judge, SceneLogits, label_scenes
from cdcore.pocket.scenes.scene import Scene
from cdcore.scoring.embedder import Embedder

__all__ = [
    "FULL",
    "QUICK",
    "RETRIEVAL_CHOICES",
    "Extent",
    "Report",
    "make_report",
    "pair_scores",
    "retrieval_top1",
    "single_scores",
]

RETRIEVAL_CHOICES = 64
"""Captions to choose from."""

_JUDGE_BATCH = 64
_SOURCES = ("generated", "reconstructed", "real")
_AIMS = {
    ("one thing", "kind"): 0.95,
    ("one thing", "place"): 0.90,
    ("one thing", "color"): 0.90,
    ("two things", "both kinds"): 0.75,
}
_RETRIEVAL_AIM = 0.95

Scores = dict[str, float]
"""A share in [0, 1] for each question."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Extent:
    """How much is asked.

    Attributes:
        singles: Captions of one thing.
        pairs: Captions of two things of different kinds.
        retrievals: Pictures whose caption is to be found, a multiple of `RETRIEVAL_CHOICES`.
    """

    singles: int
    pairs: int
    retrievals: int


FULL = Extent(singles=256, pairs=128, retrievals=8 * RETRIEVAL_CHOICES)
QUICK = Extent(singles=32, pairs=16, retrievals=2 * RETRIEVAL_CHOICES)


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """The figures.

    Attributes:
        base_fingerprint: The fingerprint of the base.
        sampling: How the pictures were sampled.
        world: Seed of the exam's world.
        extent: How much was asked.
        scores: Shares by number of things ("one thing", "two things"), by source ("generated",
            "reconstructed", "real"), by question.
        retrieval: Share of pictures whose own caption is the nearest, by whose towers ("base",
            "judge").
    """

    base_fingerprint: str
    sampling: dict[str, Any]
    world: int
    extent: Extent
    scores: dict[str, dict[str, Scores]]
    retrieval: Scores

    def as_json(self) -> dict[str, Any]:
        """Return everything in plain JSON types."""
        return asdict(self)

    def rows(self) -> list[tuple[str, ...]]:
        """Return the table: a header, then one row for each question."""
        table: list[tuple[str, ...]] = [("question", "aim", *_SOURCES)]
        for things, by_source in self.scores.items():
            for question in by_source["generated"]:
                shares = [by_source[source][question] for source in _SOURCES]
                aim = _AIMS.get((things, question))
                table.append((f"{things}: {question}", *map(_percent, (aim, *shares))))
        return table

    def retrieval_row(self) -> tuple[str, ...]:
        """Return the retrieval's question, aim, and the shares of the base's and judge's towers."""
        shares = (_RETRIEVAL_AIM, self.retrieval["base"], self.retrieval["judge"])
        return (f"retrieval, top 1 of {RETRIEVAL_CHOICES}", *map(_percent, shares))

    def markdown(self) -> str:
        """Return the figures as a page of Markdown."""
        extent, sampling = self.extent, self.sampling
        header, *rows = self.rows()
        retrieval_header = ("question", "aim", "towers of the base", "towers of the judge")
        return (
            f"Base `{self.base_fingerprint[:12]}`, held-out world {self.world}: {extent.singles} "
            f"captions of one thing, {extent.pairs} of two, {extent.retrievals} pictures for "
            f"retrieval. Sampled with {sampling['sampler']}, {sampling['steps']} steps, guidance "
            f"{sampling['guidance_scale']:g}.\n\n"
            + _markdown_table(header, rows)
            + "\n"
            + _markdown_table(retrieval_header, [self.retrieval_row()])
        )


def make_report(
    base: Base,
    towers: Embedder,
    judge: Judge,
    extent: Extent,
    *,
    world: int = EXAM_SEED,
    on_step: Callable[[int, int], None] | None = None,
) -> Report:
    """Ask a base and score the answers.

    Args:
        base: The base.
        towers: Its own contrastive towers, on the base's device.
        judge: On the base's device.
        extent: How much to ask.
        world: Seed of a world that neither the base nor the judge has seen.
        on_step: Called with the sampling steps done and all of them.
    """
    retrieval = draw_exam(extent.retrievals, seed=world)
    exams = {
        "one thing": draw_exam(extent.singles, is_single, seed=world),
        "two things": draw_exam(extent.pairs, is_pair, seed=world),
    }
    captions = [caption for exam in exams.values() for caption in exam.captions]
    generated = generate(base, captions, on_step).split([len(exam) for exam in exams.values()])
    scores = {}
    for (things, exam), pictures in zip(exams.items(), generated, strict=True):
        sources = (pictures, reconstruct(base, exam.pixels), exam.pixels)
        grade = single_scores if things == "one thing" else pair_scores
        scores[things] = {
            name: grade(_seen(judge, pixels.to(base.device)), exam.scenes)
            for name, pixels in zip(_SOURCES, sources, strict=True)
        }
    return Report(
        base_fingerprint=base.fingerprint,
        sampling={
            "sampler": base.profile.sampler,
            "steps": base.profile.sampling_steps,
            "guidance_scale": base.profile.guidance_scale,
        },
        world=world,
        extent=extent,
        scores=scores,
        retrieval={
            "base": _retrieval(towers, retrieval, base.device),
            "judge": _retrieval(judge, retrieval, base.device),
        },
    )


def single_scores(logits: SceneLogits, scenes: Sequence[Scene]) -> Scores:
    """Return the shares of pictures of one thing whose kind, place and colour are seen right.

    Args:
        logits: The logits of B pictures, on the CPU.
        scenes: What the B pictures should show, one thing each.
    """
    labels = label_scenes(list(scenes))
    kind = labels.kinds.argmax(dim=-1)
    # The colour is asked of the thing that should be there, whatever kind it looks like.
    color = logits.colors[torch.arange(len(kind)), kind].argmax(dim=-1)
    return {
        "kind": _share(logits.kinds.argmax(dim=-1) == kind),
        "place": _share(logits.places.argmax(dim=-1) == labels.places),
        "color": _share(color == labels.colors.amax(dim=-1)),
    }


def pair_scores(logits: SceneLogits, scenes: Sequence[Scene]) -> Scores:
    """Return the shares of pictures of two things whose kinds, colours and place are seen right.

    Args:
        logits: The logits of B pictures, on the CPU.
        scenes: What the B pictures should show, two things of different kinds each.
    """
    labels = label_scenes(list(scenes))
    wanted = labels.kinds.topk(2).indices.sort().values
    seen = logits.kinds.topk(2).indices.sort().values
    both_kinds = (seen == wanted).all(dim=-1)
    colors = logits.colors.argmax(dim=-1).gather(1, wanted) == labels.colors.gather(1, wanted)
    return {
        "both kinds": _share(both_kinds),
        "both kinds and colors": _share(both_kinds & colors.all(dim=-1)),
        "place": _share(logits.places.argmax(dim=-1) == labels.places),
    }


def retrieval_top1(pictures: Tensor, texts: Tensor) -> float:
    """Return the share of pictures whose own text is the nearest of its group.

    Args:
        pictures: (B, d) rows of length 1; B is a multiple of `RETRIEVAL_CHOICES`.
        texts: (B, d) rows of length 1, in the same order.
    """
    groups = zip(pictures.split(RETRIEVAL_CHOICES), texts.split(RETRIEVAL_CHOICES), strict=True)
    nearest = torch.cat([(rows @ captions.T).argmax(dim=-1) for rows, captions in groups])
    truth = torch.arange(RETRIEVAL_CHOICES, device=nearest.device)
    return _share(nearest == truth.repeat(len(nearest) // RETRIEVAL_CHOICES))


@torch.no_grad()
def _retrieval(towers: Embedder, exam: Exam, device: torch.device) -> float:
    parts = exam.pixels.to(device).split(_JUDGE_BATCH)
    pictures = torch.cat([towers.embed_pictures(part) for part in parts])
    return retrieval_top1(pictures, towers.embed_texts(list(exam.captions)))


@torch.no_grad()
def _seen(judge: Judge, pixels: Tensor) -> SceneLogits:
    parts = [judge.see(part)[1] for part in pixels.split(_JUDGE_BATCH)]
    return SceneLogits(
        kinds=torch.cat([part.kinds for part in parts]).cpu(),
        colors=torch.cat([part.colors for part in parts]).cpu(),
        places=torch.cat([part.places for part in parts]).cpu(),
    )


def _share(is_right: Tensor) -> float:
    return float(is_right.double().mean())


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f} %"


def _markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (header, rule, *rows))
