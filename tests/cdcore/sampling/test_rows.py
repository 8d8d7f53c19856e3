import math
from typing import Any, get_args

import pytest
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from cdcore.errors import ConfigError
from cdcore.model.noise_schedule import NoiseSchedule, PredictionType
from cdcore.model.profiles import SamplerName
from cdcore.sampling.guidance import guided
from cdcore.sampling.rows import Row, RowNoise, sample_rows, tick
from cdcore.sampling.solvers import Plan, advance, plan

# diffusers 0.42 hands tensors to numpy 2 in the old way.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SHAPE = (4, 8, 8)
KINDS = get_args(PredictionType)
SAMPLERS = get_args(SamplerName)
STEPS = [1, 2, 5, 14, 15, 20, 25, 50]
SD1 = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
}


def their_ddim(prediction_type: str) -> Any:
    return DDIMScheduler(
        **SD1,
        prediction_type=prediction_type,
        timestep_spacing="leading",
        steps_offset=1,
        set_alpha_to_one=False,
        clip_sample=False,
    )


def their_dpm(prediction_type: str) -> Any:
    return DPMSolverMultistepScheduler(
        **SD1, prediction_type=prediction_type, algorithm_type="dpmsolver++", solver_order=2
    )


def sd1(prediction_type: PredictionType = "epsilon") -> NoiseSchedule:
    table = their_ddim(prediction_type).alphas_cumprod.double()
    return NoiseSchedule(alphas_cumprod=table, prediction_type=prediction_type)


def network(z: Tensor, timesteps: Tensor) -> Tensor:
    """A fixed nonlinear stand-in; each row's output depends on that row only.

    The first term is about right for unit normal latents, so states keep a natural size.
    """
    t = timesteps.to(z.dtype).reshape(-1, *[1] * (z.ndim - 1)) / 1000
    return torch.sin(1.5 * t) * z + 0.3 * torch.tanh(z + z.roll(1, -1) + torch.cos(5 * t))


def network_of_any(z: Tensor, timesteps: Tensor, active: tuple[int, ...]) -> Tensor:
    return network(z, timesteps)


def diffusers_result(scheduler: Any, steps: int, z: Tensor, **step_arguments: Any) -> Tensor:
    scheduler.set_timesteps(steps)
    for t in scheduler.timesteps:
        z = scheduler.step(network(z, t.reshape(1)), t, z, **step_arguments).prev_sample
    return z


def mixed_plans(schedule: NoiseSchedule) -> list[Plan]:
    return [
        plan(schedule, "ddim", 5),
        plan(schedule, "dpm++", 7),
        plan(schedule, "ddim", 6, eta=1.0),
        plan(schedule, "dpm++", 3),
        plan(schedule, "ddim", 7, eta=0.5),
    ]


def result(schedule: NoiseSchedule, row_plan: Plan, seed: int) -> Tensor:
    return sample_rows(schedule, [Row.start(row_plan, seed, SHAPE)], network_of_any)[0]


# Equality with diffusers


@pytest.mark.parametrize("prediction_type", KINDS)
@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_ddim_equals_diffusers_with_the_same_seed(
    prediction_type: PredictionType, steps: int, eta: float
) -> None:
    generator = torch.Generator().manual_seed(7)
    z = torch.randn(1, *SHAPE, generator=generator)
    theirs = diffusers_result(their_ddim(prediction_type), steps, z, eta=eta, generator=generator)
    schedule = sd1(prediction_type)
    ours = result(schedule, plan(schedule, "ddim", steps, eta=eta), 7)
    torch.testing.assert_close(ours, theirs[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("prediction_type", KINDS)
@pytest.mark.parametrize("steps", STEPS)
def test_dpm_equals_diffusers(prediction_type: PredictionType, steps: int) -> None:
    z = torch.randn(1, *SHAPE, generator=torch.Generator().manual_seed(7))
    theirs = diffusers_result(their_dpm(prediction_type), steps, z)
    schedule = sd1(prediction_type)
    ours = result(schedule, plan(schedule, "dpm++", steps), 7)
    torch.testing.assert_close(ours, theirs[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("prediction_type", KINDS)
@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_ddim_equals_diffusers_to_float64_accuracy(
    prediction_type: PredictionType, eta: float
) -> None:
    scheduler = their_ddim(prediction_type)
    scheduler.alphas_cumprod = scheduler.alphas_cumprod.double()
    scheduler.final_alpha_cumprod = scheduler.final_alpha_cumprod.double()
    scheduler.set_timesteps(25)
    schedule = sd1(prediction_type)
    ours_plan = plan(schedule, "ddim", 25, eta=eta)
    generator = torch.Generator().manual_seed(3)
    theirs = ours = torch.randn(1, *SHAPE, generator=generator, dtype=torch.float64)
    for i, t in enumerate(scheduler.timesteps):
        noise = torch.randn(1, *SHAPE, generator=generator, dtype=torch.float64)
        theirs = scheduler.step(
            network(theirs, t.reshape(1)), t, theirs, eta=eta, variance_noise=noise if eta else None
        ).prev_sample
        x0 = schedule.original(network(ours, t.reshape(1)), ours, t.reshape(1))
        ours = advance(ours, x0, torch.zeros_like(x0), ours_plan.coefficients[i : i + 1], noise)
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


@given(steps=st.integers(1, 999))
@settings(max_examples=40, deadline=None)
def test_timesteps_are_those_of_diffusers(steps: int) -> None:
    for sampler, theirs in (("ddim", their_ddim("epsilon")), ("dpm++", their_dpm("epsilon"))):
        theirs.set_timesteps(steps)
        assert plan(sd1(), sampler, steps).timesteps == tuple(theirs.timesteps.tolist())  # type: ignore[arg-type]


# Laws of a plan


@st.composite
def schedules(draw: st.DrawFn) -> NoiseSchedule:
    betas = draw(st.lists(st.floats(1e-4, 0.5), min_size=1, max_size=30))
    table = torch.cumprod(1 - torch.tensor(betas, dtype=torch.float64), 0)
    return NoiseSchedule(alphas_cumprod=table, prediction_type="epsilon")


@given(schedule=schedules(), sampler=st.sampled_from(SAMPLERS), data=st.data())
@settings(max_examples=150, deadline=None)
def test_a_plan_turns_the_noise_level_of_one_timestep_into_that_of_the_next(
    schedule: NoiseSchedule, sampler: SamplerName, data: st.DataObject
) -> None:
    count = schedule.alphas_cumprod.numel()
    steps = data.draw(st.integers(1, count))
    eta = data.draw(st.floats(0, 1)) if sampler == "ddim" else 0.0
    made = plan(schedule, sampler, steps, eta=eta)
    assert len(made.timesteps) == steps == len(made.coefficients)
    assert list(made.timesteps) == sorted(set(made.timesteps), reverse=True)
    assert 0 <= made.timesteps[-1] <= made.timesteps[0] < count
    power = schedule.alphas_cumprod[list(made.timesteps)].tolist()
    last = schedule.alphas_cumprod[0].item() if sampler == "ddim" else 1.0
    for now, then, (a, b, c, d) in zip(
        power, [*power[1:], last], made.coefficients.tolist(), strict=True
    ):
        # A perfect network always says the same x0, so the signal and noise levels must come out.
        assert a * math.sqrt(now) + b + c == pytest.approx(math.sqrt(then), abs=1e-9)
        assert a * a * (1 - now) + d * d == pytest.approx(1 - then, abs=1e-9)
        assert math.isfinite(b)
        assert math.isfinite(c)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_plan_may_visit_every_timestep(sampler: SamplerName) -> None:
    made = plan(sd1(), sampler, 1000)
    assert made.timesteps == tuple(range(999, -1, -1))
    assert made.coefficients.isfinite().all()


def test_ancestral_steps_are_the_posterior_of_the_forward_process() -> None:
    schedule = sd1()
    made = plan(schedule, "ddim", 20, eta=1.0)
    table = schedule.alphas_cumprod.tolist()
    for t, (a, b, _, d) in zip(made.timesteps, made.coefficients.tolist(), strict=True):
        now, then = table[t], table[max(t - 50, 0)]
        step = now / then
        # Ho et al. 2020, eq. 7.
        assert a == pytest.approx(math.sqrt(step) * (1 - then) / (1 - now), rel=1e-9)
        assert b == pytest.approx(math.sqrt(then) * (1 - step) / (1 - now), rel=1e-9)
        assert d * d == pytest.approx((1 - then) / (1 - now) * (1 - step), rel=1e-9)


@pytest.mark.parametrize(
    ("sampler", "steps", "eta", "word"),
    [
        ("euler", 20, 0.0, "sampler"),
        ("ddim", 0, 0.0, "steps"),
        ("ddim", 1001, 0.0, "steps"),
        ("dpm++", 0, 0.0, "steps"),
        ("dpm++", 1001, 0.0, "steps"),
        ("ddim", 20, -0.1, "eta"),
        ("ddim", 20, 1.1, "eta"),
        ("ddim", 20, math.nan, "eta"),
        ("dpm++", 20, 0.5, "eta"),
    ],
)
def test_an_impossible_plan_is_refused_by_name(
    sampler: Any, steps: int, eta: float, word: str
) -> None:
    with pytest.raises(ConfigError, match=word):
        plan(sd1(), sampler, steps, eta=eta)


# One step


@pytest.mark.parametrize("rubbish", [0.0, 3.0, math.nan, math.inf])
def test_a_row_without_noise_ignores_what_the_noise_holds(rubbish: float) -> None:
    z, x0, x0_previous, noise = torch.randn(
        4, 2, *SHAPE, generator=torch.Generator().manual_seed(0)
    )
    coefficients = torch.tensor([[0.5, 0.4, 0.1, 0.0], [0.5, 0.4, 0.1, 0.3]], dtype=torch.float64)
    noise[0] = rubbish
    without = advance(z, x0, x0_previous, coefficients, None)
    following = advance(z, x0, x0_previous, coefficients, noise)
    assert torch.equal(following[0], without[0])
    assert torch.equal(following[1], without[1] + coefficients[1, 3].float() * noise[1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_guidance_of_one_is_the_conditional_output(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    unconditional = torch.randn(3, *SHAPE, generator=generator, dtype=dtype)
    conditional = torch.randn(3, *SHAPE, generator=generator, dtype=dtype)
    got = guided(unconditional, conditional, torch.tensor([1.0, 7.5, 0.0]))
    assert torch.equal(got[0], conditional[0])
    torch.testing.assert_close(
        got[1], unconditional[1] + 7.5 * (conditional[1] - unconditional[1]), rtol=1e-5, atol=1e-5
    )
    torch.testing.assert_close(got[2], unconditional[2], rtol=1e-5, atol=1e-5)


def test_guidance_of_half_precision_outputs_is_worked_out_in_float32() -> None:
    generator = torch.Generator().manual_seed(0)
    unconditional = torch.randn(2, *SHAPE, generator=generator).bfloat16()
    conditional = torch.randn(2, *SHAPE, generator=generator).bfloat16()
    scale = torch.tensor([2.0, 7.5])
    got = guided(unconditional, conditional, scale)
    assert torch.equal(got, guided(unconditional.float(), conditional.float(), scale))


# Rows


def test_the_first_draw_of_a_seed_is_that_of_a_fresh_generator() -> None:
    expected = torch.randn(SHAPE, generator=torch.Generator().manual_seed(11))
    assert torch.equal(RowNoise(11, SHAPE).draw(), expected)
    assert torch.equal(Row.start(plan(sd1(), "ddim", 2), 11, SHAPE).z, expected)


@given(seed=st.integers(0, 2**64 - 1))
@settings(max_examples=30, deadline=None)
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
@settings(max_examples=20, deadline=None)
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
