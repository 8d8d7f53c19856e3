"""The pace of recipes: seconds per step, measured in turn, so that noise is fair to all."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median

import torch

from benchmarks.common.timing import synchronized
from benchmarks.recipes.recipe import Recipe

__all__ = ["Pace", "measure_pace"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """How fast a recipe steps.

    Attributes:
        first_step: Seconds of its first step, with whatever is compiled or allocated in it.
        blocks: Seconds per step of each block of steps afterwards.
    """

    first_step: float
    blocks: Sequence[float]

    @property
    def seconds_per_step(self) -> float:
        """The median block's."""
        return median(self.blocks)

    @property
    def steps_per_second(self) -> float:
        """The median block's."""
        return 1 / self.seconds_per_step


def measure_pace(
    recipes: Mapping[str, Recipe],
    device: torch.device,
    *,
    rounds: int,
    steps_per_block: int,
    on_round: Callable[[int, int], None] | None = None,
) -> dict[str, Pace]:
    """Measure recipes in turn, block by block; every other round runs in reverse order.

    Args:
        recipes: The recipes by name; they are trained further.
        device: The device of all recipes.
        rounds: Blocks of each recipe.
        steps_per_block: Steps of each block.
        on_round: Called with the rounds done and all of them.
    """
    first = {
        name: synchronized(device, partial(recipe.advance, 1)) for name, recipe in recipes.items()
    }
    blocks: dict[str, list[float]] = {name: [] for name in recipes}
    for done in range(rounds):
        for name in sorted(recipes, reverse=bool(done % 2)):
            seconds = synchronized(device, partial(recipes[name].advance, steps_per_block))
            blocks[name].append(seconds / steps_per_block)
        if on_round is not None:
            on_round(done + 1, rounds)
    return {name: Pace(first_step=first[name], blocks=blocks[name]) for name in recipes}
