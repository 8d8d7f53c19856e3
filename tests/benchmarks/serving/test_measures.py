"""Tests of `benchmarks.serving.measures`."""

import time

import pytest
import torch

from benchmarks.serving.load import Arrival
from benchmarks.serving.measures import batch_ratio, latencies, mean_service_s, serve, throughput
from benchmarks.serving.shelf import Shelf
from benchmarks.serving.system import Served, System
from cdcore.model.base import Base


class Clockwork(System):
    """A server that takes a known time for each arrival, while the caller waits."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.arrivals: list[Arrival] = []

    def submit(self, arrival: Arrival, served: Served) -> None:
        time.sleep(self.seconds)
        self.arrivals.append(arrival)
        served.note(arrival.number, torch.zeros(3, 1, 1))

    def close(self) -> None:
        pass


@pytest.fixture(scope="module")
def shelf(tiny_base: Base, tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    return Shelf(tiny_base, tmp_path_factory.mktemp("concepts"))


def test_times_are_those_of_the_system(shelf: Shelf) -> None:
    systems = {"engine": Clockwork(0.02), "swap": Clockwork(0.5)}
    found = {
        row["system"]: row["pictures_per_second"]
        for row in throughput(systems, shelf, (1,), arrivals=5, rounds=1)
    }
    assert found["engine"] <= 50
    assert found["swap"] <= 2
    assert found["engine"] > found["swap"]
    assert mean_service_s(systems["swap"], systems["swap"].arrivals[:2]) >= 0.1


def test_every_system_gets_the_same_orders_and_lateness_counts(shelf: Shelf) -> None:
    """A server slower than the arrivals come gets later and later."""
    systems = {"engine": Clockwork(0.0), "swap": Clockwork(0.1)}
    rows = latencies(systems, shelf, (3,), arrivals=6, rate=50.0, rounds=2)
    assert systems["engine"].arrivals == systems["swap"].arrivals
    slow = next(row for row in rows if row["system"] == "swap")
    assert slow["p99"] > 0.4
    assert slow["p50"] > 0.2


def test_orders_do_not_come_before_their_time() -> None:
    from serve.concepts.mix import ConceptMix

    arrival = Arrival(number=0, arrives_s=0.2, mix=ConceptMix(), prompt="", seed=0)
    served, started = serve(Clockwork(0.0), [arrival])
    assert served.finished_at[0] - started >= 0.2


def test_both_batches_tick(tiny_base: Base, shelf: Shelf) -> None:
    found = batch_ratio(tiny_base, shelf, 2, ticks=2)
    assert found["mixed_speed_share"] == pytest.approx(found["same_tick_s"] / found["mixed_tick_s"])
