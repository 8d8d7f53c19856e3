"""Tests of `benchmarks.training.pace`."""

import time

import pytest
import torch

from benchmarks.common.timing import synchronized
from benchmarks.training.pace import Pace, measure_pace
from cdcore.concepts.concept import Concept

CPU = torch.device("cpu")


class Sleeper:
    """A recipe whose steps take a known time."""

    def __init__(self, name: str, seconds: float, log: list[tuple[str, int]]) -> None:
        self.name, self.seconds, self.log = name, seconds, log

    def advance(self, steps: int) -> None:
        self.log.append((self.name, steps))
        time.sleep(self.seconds * steps)

    def concept(self) -> Concept:
        raise NotImplementedError


def test_recipes_take_turns_in_alternating_order() -> None:
    log: list[tuple[str, int]] = []
    recipes = {name: Sleeper(name, 0.0, log) for name in ("a", "b")}
    done: list[tuple[int, int]] = []
    measure_pace(
        recipes, CPU, rounds=3, steps_per_block=5, on_round=lambda *count: done.append(count)
    )
    assert log[:2] == [("a", 1), ("b", 1)]
    assert [name for name, _ in log[2:]] == ["a", "b", "b", "a", "a", "b"]
    assert {steps for _, steps in log[2:]} == {5}
    assert done == [(1, 3), (2, 3), (3, 3)]


def test_the_slower_recipe_has_the_slower_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    # A clock of its own: on a busy machine a short sleep may take as long as a long one.
    monkeypatch.setattr(time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    recipes = {"slow": Sleeper("slow", 0.02, []), "fast": Sleeper("fast", 0.002, [])}
    paces = measure_pace(recipes, CPU, rounds=3, steps_per_block=2)
    assert paces["slow"].seconds_per_step == pytest.approx(0.02)
    assert paces["fast"].seconds_per_step == pytest.approx(0.002)


def test_one_disturbed_block_does_not_matter() -> None:
    pace = Pace(first_step=9.0, blocks=[0.1, 7.0, 0.1])
    assert pace.seconds_per_step == 0.1
    assert pace.steps_per_second == pytest.approx(10)


def test_work_is_timed() -> None:
    assert 0.01 <= synchronized(CPU, lambda: time.sleep(0.01)) < 5
