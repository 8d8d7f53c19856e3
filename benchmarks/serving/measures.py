"""What is measured of a server, each figure a median of interleaved runs."""

import time
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

import torch

from benchmarks.serving.load import METHOD, Arrival, make_arrivals, percentiles
from benchmarks.serving.shelf import Shelf
from benchmarks.serving.system import Served, System
from benchmarks.serving.systems import EngineSystem
from cdcore.model.base import Base
from cdcore.sampling.pipeline import condition
from cdcore.sampling.rows import Row
from cdcore.sampling.solvers import plan
from serve.concepts.mix import ConceptMix
from serve.engine.batch import Batch, BatchRow
from serve.engine.conditioning import Conditioning

__all__ = ["batch_ratio", "cold_merge", "latencies", "mean_service_s", "serve", "throughput"]

_LONG = 100
"""Steps of a plan that outlasts every measurement of ticks."""


def serve(system: System, arrivals: Sequence[Arrival]) -> tuple[Served, float]:
    """Let arrivals arrive at their times and wait for all.

    Returns:
        What has been served, and when the first could arrive, in seconds of the monotonic clock.
    """
    served = Served()
    started = time.monotonic()
    for arrival in arrivals:
        time.sleep(max(0.0, started + arrival.arrives_s - time.monotonic()))
        system.submit(arrival, served)
    served.wait(len(arrivals))
    return served, started


def mean_service_s(system: System, arrivals: Sequence[Arrival]) -> float:
    """Return how long a system takes for an arrival when each waits for the one before, seconds."""
    seconds = []
    for arrival in arrivals:
        started = time.monotonic()
        serve(system, [arrival])
        seconds.append(time.monotonic() - started)
    return sum(seconds) / len(seconds)


def latencies(
    systems: Mapping[str, System],
    shelf: Shelf,
    live: Sequence[int],
    *,
    arrivals: int,
    rate: float,
    rounds: int,
) -> list[dict[str, Any]]:
    """Measure the time from arrival to picture, under Poisson arrivals.

    Args:
        systems: By name; they take turns, in another order each round.
        shelf: The concepts.
        live: Numbers of live concepts.
        arrivals: The arrivals of one run.
        rate: Arrivals per second.
        rounds: Runs of each system and number; every system gets the same arrivals in a round.

    Returns:
        For each number and system the medians over the rounds of p50, p95 and p99, in seconds;
        for the engine also how many turns arrivals waited that found a free row.
    """
    runs: dict[tuple[int, str], list[dict[str, float]]] = {}
    waits: list[int] = []
    for round_ in range(rounds):
        for count in live:
            drawn = make_arrivals(shelf, count, arrivals, rate=rate, seed=round_)
            for name in _rotated(list(systems), round_):
                served, started = serve(systems[name], drawn)
                times = [
                    served.finished_at[arrival.number] - started - arrival.arrives_s
                    for arrival in drawn
                ]
                runs.setdefault((count, name), []).append(percentiles(times))
                waits += [d.turns_waited for d in served.done.values() if d.found_free_row]
    return [
        {
            "live": count,
            "system": name,
            **{key: median(run[key] for run in found) for key in found[0]},
            **({"most_turns_waited": max(waits, default=0)} if name == "engine" else {}),
        }
        for (count, name), found in runs.items()
    ]


def throughput(
    systems: Mapping[str, System],
    shelf: Shelf,
    live: Sequence[int],
    *,
    arrivals: int,
    rounds: int,
) -> list[dict[str, Any]]:
    """Measure pictures per second when all arrivals come at once; arguments as for `latencies`."""
    runs: dict[tuple[int, str], list[float]] = {}
    for round_ in range(rounds):
        for count in live:
            drawn = make_arrivals(shelf, count, arrivals, rate=None, seed=1000 + round_)
            for name in _rotated(list(systems), round_):
                served, started = serve(systems[name], drawn)
                seconds = max(served.finished_at.values()) - started
                runs.setdefault((count, name), []).append(arrivals / seconds)
    return [
        {"live": count, "system": name, "pictures_per_second": median(found)}
        for (count, name), found in runs.items()
    ]


@torch.no_grad()
def batch_ratio(base: Base, shelf: Shelf, slots: int, *, ticks: int) -> dict[str, float]:
    """Time ticks of a full batch of one concept, and of one with a concept for each row.

    Args:
        base: The base model.
        shelf: The concepts.
        slots: Rows.
        ticks: The ticks of each batch, at least 1; they alternate.

    Returns:
        Median seconds of each, and how fast the mixed batch is beside the other.
    """
    batches = {name: Batch(base, slots) for name in ("same", "mixed")}
    steps = plan(base.noise_schedule, "ddim", _LONG)
    for name, batch in batches.items():
        for number in range(slots):
            reference = shelf.references(slots)[number if name == "mixed" else 0]
            concept = shelf.concept(reference)
            update = concept.update.to(base.device, base.seam.dtype)
            prompt = f"a {shelf.token(reference)} cat"
            conditioning = Conditioning(
                positive=condition(base, prompt, update, concept.tokens),
                negative=condition(base, "", update, concept.tokens),
                residuals={},
            )
            row = Row.start(steps, number, base.latent_shape, base.device)
            batch.join(
                (name, number), BatchRow(row=row, conditioning=conditioning, guidance_scale=2.0)
            )
    seconds: dict[str, list[float]] = {name: [] for name in batches}
    for number in range(min(ticks + 1, _LONG)):
        for name in _rotated(list(batches), number):
            started = time.perf_counter()
            batches[name].tick()
            if number:
                seconds[name].append(time.perf_counter() - started)
    same, mixed = median(seconds["same"]), median(seconds["mixed"])
    return {"same_tick_s": same, "mixed_tick_s": mixed, "mixed_speed_share": same / mixed}


def cold_merge(system: EngineSystem, shelf: Shelf, *, pairs: int) -> dict[str, float]:
    """Measure what a merge adds to a request on an idle engine.

    Each pair of concepts is asked for twice with other prompts: the first merges, the second finds
    the merge. Both encode and project their prompt. The concepts themselves are in memory.

    Args:
        system: The engine.
        shelf: The concepts.
        pairs: How many pairs.

    Returns:
        Medians, in seconds: of a cold request, of a warm one, of the difference within a pair, and
        of the merge alone.
    """
    # From the far end of the shelf, so that no other measurement has merged them.
    references = shelf.references(100_000)[-2 * pairs :]
    for number, reference in enumerate(references):
        plain = ConceptMix.of((reference, 1.0), method=METHOD)
        serve(system, [_order(number, plain, f"a {shelf.token(reference)} cat")])
    before = len(system.engine.preparer.merge_s)
    cold: list[float] = []
    warm: list[float] = []
    for number in range(pairs):
        first, second = references[2 * number : 2 * number + 2]
        mix = ConceptMix.of((first, 1.0), (second, 1.0), method=METHOD)
        things = f"{shelf.token(first)} cat and a {shelf.token(second)} cat"
        for times, scene in ((cold, f"a {things}"), (warm, f"one {things}")):
            started = time.perf_counter()
            serve(system, [_order(number, mix, scene)])
            times.append(time.perf_counter() - started)
    merges = list(system.engine.preparer.merge_s)[before:]
    return {
        "cold_s": median(cold),
        "warm_s": median(warm),
        "added_s": median(one - other for one, other in zip(cold, warm, strict=True)),
        "merge_s": median(merges),
    }


def _order(number: int, mix: ConceptMix, prompt: str) -> Arrival:
    return Arrival(number=number, arrives_s=0.0, mix=mix, prompt=prompt, seed=number)


def _rotated(names: list[str], by: int) -> list[str]:
    by %= len(names)
    return names[by:] + names[:by]
