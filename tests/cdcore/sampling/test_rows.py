"""Tests of `cdcore.sampling.rows`."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from cdcore.errors import ConfigError
from cdcore.model.noise_schedule import NoiseSchedule, PredictionType
from cdcore.model.profiles import SamplerName
from cdcore.sampling.rows import Row, RowNoise, sample_rows, tick
from cdcore.sampling.solvers import Plan, plan
from tests.cdcore.sampling.network_case import (
    KINDS,
    SAMPLERS,
    SHAPE,
    network,
    network_of_any,
    result,
    sd1,
)

# diffusers 0.42 hands tensors to numpy 2 in the old way.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def mixed_plans(schedule: NoiseSchedule) -> list[Plan]:
    return [
        plan(schedule, "ddim", 5),
        plan(schedule, "dpm++", 7),
        plan(schedule, "ddim", 6, eta=1.0),
        plan(schedule, "dpm++", 3),
        plan(schedule, "ddim", 7, eta=0.5),
    ]


def test_the_first_draw_of_a_seed_is_that_of_a_fresh_generator() -> None:
    expected = torch.randn(SHAPE, generator=torch.Generator().manual_seed(11))
    assert torch.equal(RowNoise(11, SHAPE).draw(), expected)
    assert torch.equal(Row.start(plan(sd1(), "ddim", 2), 11, SHAPE).z, expected)


@given(seed=st.integers(0, 2**64 - 1))
@settings(max_examples=30)
def test_a_seed_reproduces_its_stream_and_draws_differ(seed: int) -> None:
    first, second = RowNoise(seed, SHAPE), RowNoise(seed, SHAPE)
    draws = [first.draw() for _ in range(3)]
    assert all(torch.equal(draw, second.draw()) for draw in draws)
    assert not torch.equal(draws[0], draws[1])


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_seed_out_of_range_is_refused(seed: int) -> None:
    with pytest.raises(ConfigError, match="seed"):
        RowNoise(seed, SHAPE)


@pytest.mark.parametrize("prediction_type", KINDS)
def test_a_mixed_batch_of_rows_equals_each_row_alone(prediction_type: PredictionType) -> None:
    schedule = sd1(prediction_type)
    plans = mixed_plans(schedule)
    rows = [Row.start(each, seed, SHAPE) for seed, each in enumerate(plans)]
    together = sample_rows(schedule, rows, network_of_any)
    assert together.dtype == torch.float32
    alone = torch.stack([result(schedule, each, seed) for seed, each in enumerate(plans)])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5)


@given(order=st.permutations(range(5)), strangers=st.integers(0, 2**32))
@settings(max_examples=20)
def test_a_rows_bits_depend_on_neither_its_slot_nor_its_neighbours(
    order: list[int], strangers: int
) -> None:
    schedule = sd1()
    plans = mixed_plans(schedule)
    watched = order[0]

    def ticked(places: list[int], seeds: list[int]) -> Tensor:
        rows = [
            Row.start(plans[place], seed, SHAPE) for place, seed in zip(places, seeds, strict=True)
        ]
        for _ in plans[3].timesteps:
            tick(schedule, rows, network)
        return rows[places.index(watched)].z

    here = ticked(list(range(5)), [100 + place for place in range(5)])
    elsewhere = ticked(
        order, [100 + place if place == watched else strangers + place for place in order]
    )
    assert torch.equal(here, elsewhere)


def test_rows_that_join_late_end_where_they_would_have_alone() -> None:
    schedule = sd1()
    early = Row.start(plan(schedule, "dpm++", 6), 1, SHAPE)
    late = Row.start(plan(schedule, "ddim", 4, eta=1.0), 2, SHAPE)
    for step in range(6):
        tick(schedule, [early] if step < 2 else [late, early], network)
    assert early.finished
    assert late.finished
    torch.testing.assert_close(early.z, result(schedule, early.plan, 1), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(late.z, result(schedule, late.plan, 2), rtol=1e-5, atol=1e-5)


def test_finished_rows_leave_the_batch_and_the_network_is_told_who_is_in_it() -> None:
    schedule = sd1()
    plans = [plan(schedule, "ddim", steps) for steps in (2, 4, 1)]
    seen: list[tuple[int, ...]] = []
    progress: list[tuple[int, int]] = []

    def predict(z: Tensor, timesteps: Tensor, active: tuple[int, ...]) -> Tensor:
        assert z.shape == (len(active), *SHAPE)
        assert timesteps.dtype == torch.int64
        assert timesteps.tolist() == [plans[i].timesteps[len(seen)] for i in active]
        seen.append(active)
        return network(z, timesteps)

    rows = [Row.start(each, seed, SHAPE) for seed, each in enumerate(plans)]
    sample_rows(schedule, rows, predict, on_step=lambda done, total: progress.append((done, total)))
    assert seen == [(0, 1, 2), (0, 1), (1,), (1,)]
    assert progress == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert all(row.finished for row in rows)


def test_a_failing_network_leaves_the_rows_as_they_were() -> None:
    schedule = sd1()

    def fails(z: Tensor, timesteps: Tensor) -> Tensor:
        raise RuntimeError

    row = Row.start(plan(schedule, "ddim", 3, eta=1.0), 5, SHAPE)
    with pytest.raises(RuntimeError):
        tick(schedule, [row], fails)
    for _ in range(3):
        tick(schedule, [row], network)
    assert torch.equal(row.z, result(schedule, row.plan, 5))


def test_a_half_precision_network_leaves_the_state_in_float32_and_keeps_no_gradients() -> None:
    schedule = sd1()
    weight = torch.ones((), requires_grad=True)
    row = Row.start(plan(schedule, "dpm++", 3), 5, SHAPE)
    tick(schedule, [row], lambda z, t: (weight * network(z, t)).bfloat16())
    assert row.z.dtype == row.x0_previous.dtype == torch.float32
    assert not row.z.requires_grad


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_network_that_knows_the_picture_leads_to_it(sampler: SamplerName) -> None:
    schedule = sd1("v_prediction")
    picture = torch.randn(1, *SHAPE, generator=torch.Generator().manual_seed(9))
    levels = schedule.alphas_cumprod.float()

    def knows(z: Tensor, timesteps: Tensor, active: tuple[int, ...]) -> Tensor:
        power = levels[timesteps].reshape(-1, 1, 1, 1)
        return (power.sqrt() * z - picture) / (1 - power).sqrt()

    row = Row.start(plan(schedule, sampler, 10), 1, SHAPE)
    end = sample_rows(schedule, [row], knows)
    # DDIM stops at timestep 0, whose noise has a deviation of 0.03.
    tolerance = 0.15 if sampler == "ddim" else 1e-4
    torch.testing.assert_close(end, picture, rtol=0, atol=tolerance)


def test_sampling_no_rows_is_refused() -> None:
    with pytest.raises(ConfigError, match="rows"):
        sample_rows(sd1(), [], network_of_any)
