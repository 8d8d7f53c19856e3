"""Tests of `benchmarks.serving.systems`."""

from pathlib import Path

import pytest
import torch

from benchmarks.serving.load import make_arrivals
from benchmarks.serving.measures import serve
from benchmarks.serving.shelf import Shelf
from benchmarks.serving.system import System
from benchmarks.serving.systems import EngineSystem, GroupSystem, SwapSystem
from cdcore.errors import ServingError
from cdcore.model.base import Base
from serve.concepts.mix import ConceptMix, ConceptRef
from serve.engine.config import EngineConfig
from serve.engine.engine import Engine

# diffusers 0.42 hands tensors to numpy 2 in the old way.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def test_all_systems_draw_the_same_pictures(
    tiny_base: Base, tiny_folder: Path, tmp_path: Path
) -> None:
    """So the weights that are swapped are the right ones, and nobody is given less to do."""
    shelf = Shelf(tiny_base, tmp_path / "concepts")
    merge = shelf.merger(tiny_base)
    engine = Engine(tiny_base, shelf, tmp_path / "cache", EngineConfig(slots=2), merge=merge)
    engine.start()
    arrivals = make_arrivals(shelf, 20, 5, rate=None, seed=3)
    assert {len(arrival.mix.parts) for arrival in arrivals} == {1, 2, 3}
    drawn = []
    systems: list[System] = [
        EngineSystem(engine),
        SwapSystem(tiny_folder, tiny_base, shelf, merge),
        GroupSystem(tiny_base, shelf, merge, 2),
    ]
    for system in systems:
        with system:
            served, started = serve(system, arrivals)
        assert all(finished > started for finished in served.finished_at.values())
        drawn.append(torch.stack([served.pictures[arrival.number] for arrival in arrivals]))
    for other in drawn[1:]:
        torch.testing.assert_close(other, drawn[0], rtol=0, atol=2e-3)
    assert (drawn[0][1:] - drawn[0][0]).abs().amax(dim=(1, 2, 3)).min() > 0.01


def test_a_failure_is_no_figure(tiny_base: Base, tmp_path: Path) -> None:
    shelf = Shelf(tiny_base, tmp_path / "concepts")
    (arrival,) = make_arrivals(shelf, 1, 1, rate=None, seed=0)
    broken = ConceptMix.of((ConceptRef("no number", "1"), 1.0), method="ridge")
    object.__setattr__(arrival, "mix", broken)
    says = "an arrival has failed"
    merge = shelf.merger(tiny_base)
    with GroupSystem(tiny_base, shelf, merge, 2) as system, pytest.raises(ServingError, match=says):
        serve(system, [arrival])
