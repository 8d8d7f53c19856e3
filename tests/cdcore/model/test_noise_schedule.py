import pickle
from typing import Any, get_args

import pytest
import torch
from diffusers import DDPMScheduler
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from cdcore.errors import ConfigError
from cdcore.model.noise_schedule import NoiseSchedule, PredictionType

KINDS = get_args(PredictionType)


def sd1(prediction_type: PredictionType = "epsilon") -> NoiseSchedule:
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    return NoiseSchedule(
        alphas_cumprod=torch.cumprod(1 - betas, 0), prediction_type=prediction_type
    )


def pair(seed: int, *shape: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    latents = torch.randn(shape, generator=generator, dtype=dtype)
    return latents, torch.randn(shape, generator=generator, dtype=dtype)


@given(
    prediction_type=st.sampled_from(KINDS),
    timesteps=st.lists(st.integers(0, 999), min_size=1, max_size=5),
    extra=st.lists(st.integers(1, 4), max_size=3),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=60)
def test_original_inverts_add_noise_and_target(
    prediction_type: PredictionType, timesteps: list[int], extra: list[int], seed: int
) -> None:
    schedule = sd1(prediction_type)
    t = torch.tensor(timesteps)
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 3e-5)):
        latents, noise = pair(seed, len(timesteps), *extra, dtype=dtype)
        z_t = schedule.add_noise(latents, noise, t)
        back = schedule.original(schedule.target(latents, noise, t), z_t, t)
        assert back.dtype == dtype
        torch.testing.assert_close(back, latents, rtol=0, atol=tolerance)


def test_adding_noise_keeps_unit_variance() -> None:
    latents, noise = pair(0, 6, 200_000)
    z_t = sd1().add_noise(latents, noise, torch.tensor([0, 100, 300, 500, 800, 999]))
    torch.testing.assert_close(z_t.var(dim=1), torch.ones(6), rtol=0.02, atol=0)


@pytest.mark.parametrize("prediction_type", KINDS)
def test_each_row_follows_its_own_timestep(prediction_type: PredictionType) -> None:
    schedule = sd1(prediction_type)
    latents, noise = pair(1, 3, 4, 8, 8)
    t = torch.tensor([3, 999, 500])
    for method in (schedule.add_noise, schedule.target, schedule.original):
        together = method(latents, noise, t)
        alone = [method(latents[i : i + 1], noise[i : i + 1], t[i : i + 1]) for i in range(3)]
        assert torch.equal(together, torch.cat(alone))


@pytest.mark.parametrize("prediction_type", KINDS)
def test_noise_and_targets_equal_those_of_diffusers(prediction_type: PredictionType) -> None:
    theirs: Any = DDPMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type=prediction_type,
    )
    ours = NoiseSchedule(
        alphas_cumprod=theirs.alphas_cumprod.double(), prediction_type=prediction_type
    )
    latents, noise = pair(2, 4, 4, 8, 8)
    t = torch.tensor([0, 250, 750, 999])
    z_t = theirs.add_noise(latents, noise, t)
    torch.testing.assert_close(ours.add_noise(latents, noise, t), z_t, rtol=0, atol=1e-6)
    target = noise if prediction_type == "epsilon" else theirs.get_velocity(latents, noise, t)
    torch.testing.assert_close(ours.target(latents, noise, t), target, rtol=0, atol=1e-6)


@pytest.mark.parametrize("prediction_type", KINDS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_inputs_are_raised_to_float32(
    prediction_type: PredictionType, dtype: torch.dtype
) -> None:
    schedule = sd1(prediction_type)
    latents, noise = pair(3, 2, 4, 8, 8, dtype=dtype)
    t = torch.tensor([10, 900])
    for method in (schedule.add_noise, schedule.target, schedule.original):
        got = method(latents, noise, t)
        assert got.dtype == torch.float32
        assert torch.equal(got, method(latents.float(), noise.float(), t))


def test_a_schedule_first_used_in_inference_mode_still_trains() -> None:
    schedule = sd1()
    latents, noise = pair(4, 2, 8)
    t = torch.tensor([10, 900])
    with torch.inference_mode():
        schedule.add_noise(latents, noise, t)
    prediction = noise.requires_grad_()
    schedule.original(prediction, latents, t).sum().backward()
    assert prediction.grad is not None


def test_a_pickled_schedule_leaves_its_device_tables_behind() -> None:
    schedule = sd1("v_prediction")
    latents, noise = pair(5, 2, 8)
    t = torch.tensor([10, 900])
    expected = schedule.add_noise(latents, noise, t)
    copy = pickle.loads(pickle.dumps(schedule))
    assert copy.prediction_type == "v_prediction"
    assert not copy._tables
    assert torch.equal(copy.add_noise(latents, noise, t), expected)


@pytest.mark.parametrize("timestep", [-1, 1000])
def test_a_timestep_outside_the_table_is_an_error(timestep: int) -> None:
    latents, noise = pair(6, 1, 8)
    with pytest.raises((IndexError, RuntimeError), match="out of"):
        sd1().add_noise(latents, noise, torch.tensor([timestep]))


@pytest.mark.parametrize(
    "table",
    [
        torch.tensor([0.9, 0.5]),
        torch.tensor([[0.9, 0.5]], dtype=torch.float64),
        torch.tensor([], dtype=torch.float64),
        torch.tensor([0.5, 0.9], dtype=torch.float64),
        torch.tensor([0.9, 0.9], dtype=torch.float64),
        torch.tensor([1.0, 0.5], dtype=torch.float64),
        torch.tensor([0.5, 0.0], dtype=torch.float64),
        torch.tensor([0.5, float("nan")], dtype=torch.float64),
        torch.tensor([0.9, 0.5], dtype=torch.float64, device="meta"),
    ],
    ids=["float32", "matrix", "empty", "rising", "flat", "one", "zero", "nan", "elsewhere"],
)
def test_a_table_that_is_no_noise_schedule_is_refused(table: Tensor) -> None:
    with pytest.raises(ConfigError, match="alphas_cumprod"):
        NoiseSchedule(alphas_cumprod=table, prediction_type="epsilon")


def test_an_unknown_prediction_type_is_refused() -> None:
    with pytest.raises(ConfigError, match="sample"):
        sd1("sample")  # type: ignore[arg-type]
