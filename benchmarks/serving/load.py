"""What clients ask for: Poisson arrivals, few concepts often and many seldom, some merged."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.serving.shelf import Shelf
from cdcore.merging.settings import DEFAULT_METHOD
from serve.concepts.mix import ConceptMix, ConceptRef

__all__ = ["METHOD", "Arrival", "make_arrivals", "percentiles"]

METHOD = DEFAULT_METHOD
"""How the concepts of an arrival are merged."""

_MOST_MERGED = 3
_SCENES = (
    "a {} on the beach",
    "a {} in the snow",
    "a {} at night",
    "a photo of a {}",
    "a painting of a {}",
    "a {} beside a tree",
    "a {} in a field",
    "a small {}",
)
_NEVER_THE_SAME = 10_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrival:
    """One picture that a client asks for.

    Attributes:
        number: The number of the arrival.
        arrives_s: Seconds after the start.
        mix: Concepts, all of weight 1.
        prompt: Names their tokens.
        seed: The seed of the picture.
    """

    number: int
    arrives_s: float
    mix: ConceptMix
    prompt: str
    seed: int


def make_arrivals(
    shelf: Shelf,
    live: int,
    count: int,
    *,
    rate: float | None,
    seed: int,
    most_merged: int = _MOST_MERGED,
) -> list[Arrival]:
    """Draw arrivals; the same arguments give the same ones.

    Args:
        shelf: The concepts.
        live: How many of them are asked for, the k-th in proportion to 1 / k (Zipf).
        count: How many arrivals to draw.
        rate: Mean arrivals per second; None has all come at once.
        seed: The seed of the draw.
        most_merged: An arrival merges 1 to this many concepts, each number as often.
    """
    rng = np.random.default_rng([seed, live])
    references = shelf.references(live)
    popularity = 1 / np.arange(1, live + 1)
    popularity /= popularity.sum()
    gaps = np.zeros(count) if rate is None else rng.exponential(1 / rate, count)
    arrivals = []
    for number, arrives_s in enumerate(np.cumsum(gaps)):
        merged = int(rng.integers(1, min(most_merged, live) + 1))
        chosen = [
            references[i] for i in rng.choice(live, merged, replace=False, p=popularity).tolist()
        ]
        arrivals.append(
            Arrival(
                number=number,
                arrives_s=float(arrives_s),
                mix=ConceptMix.of(*((reference, 1.0) for reference in chosen), method=METHOD),
                prompt=_prompt(shelf, chosen, int(rng.integers(len(_SCENES)))),
                seed=seed * _NEVER_THE_SAME + number,
            )
        )
    return arrivals


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """Return the median, the 95th and the 99th percentile."""
    return {f"p{share}": float(np.percentile(values, share)) for share in (50, 95, 99)}


def _prompt(shelf: Shelf, chosen: Sequence[ConceptRef], scene: int) -> str:
    things = " and a ".join(f"{shelf.token(reference)} cat" for reference in chosen)
    return _SCENES[scene].format(things)
