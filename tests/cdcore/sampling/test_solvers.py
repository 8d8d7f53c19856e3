"""Tests of `cdcore.sampling.solvers`."""

import math
from typing import Any

import pytest
import torch
from diffusers import DPMSolverMultistepScheduler
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from cdcore.errors import ConfigError
from cdcore.model.noise_schedule import NoiseSchedule, PredictionType
from cdcore.model.profiles import SamplerName
from cdcore.sampling.solvers import advance, plan
from tests.cdcore.sampling.network_case import (
    KINDS,
    SAMPLERS,
    SD1,
    SHAPE,
    network,
    result,
    sd1,
    their_ddim,
)

# diffusers 0.42 hands tensors to numpy 2 in the old way.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


STEPS = [1, 2, 5, 14, 15, 20, 25, 50]


def their_dpm(prediction_type: str) -> Any:
    return DPMSolverMultistepScheduler(
        **SD1, prediction_type=prediction_type, algorithm_type="dpmsolver++", solver_order=2
    )


def diffusers_result(scheduler: Any, steps: int, z: Tensor, **step_arguments: Any) -> Tensor:
    scheduler.set_timesteps(steps)
    for t in scheduler.timesteps:
        z = scheduler.step(network(z, t.reshape(1)), t, z, **step_arguments).prev_sample
    return z


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
@settings(max_examples=40)
def test_timesteps_are_those_of_diffusers(steps: int) -> None:
    for sampler, theirs in (("ddim", their_ddim("epsilon")), ("dpm++", their_dpm("epsilon"))):
        theirs.set_timesteps(steps)
        assert plan(sd1(), sampler, steps).timesteps == tuple(theirs.timesteps.tolist())  # type: ignore[arg-type]


@st.composite
def schedules(draw: st.DrawFn) -> NoiseSchedule:
    betas = draw(st.lists(st.floats(1e-4, 0.5), min_size=1, max_size=30))
    table = torch.cumprod(1 - torch.tensor(betas, dtype=torch.float64), 0)
    return NoiseSchedule(alphas_cumprod=table, prediction_type="epsilon")


@given(schedule=schedules(), sampler=st.sampled_from(SAMPLERS), data=st.data())
@settings(max_examples=150)
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
