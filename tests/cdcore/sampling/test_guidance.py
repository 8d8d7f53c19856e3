"""Tests of `cdcore.sampling.guidance`; guided rows are tested with `cdcore.sampling.rows`."""

import pytest
import torch

from cdcore.sampling.guidance import guided
from tests.cdcore.sampling.network_case import SHAPE


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("scale_dtype", [torch.float32, torch.float64])
def test_each_row_is_guided_by_its_scale_in_the_dtype_of_its_outputs(
    dtype: torch.dtype, scale_dtype: torch.dtype
) -> None:
    generator = torch.Generator().manual_seed(0)
    unconditional, conditional = torch.randn(2, 3, 4, 5, generator=generator).to(dtype)
    scales = torch.tensor([0.0, 1.0, 7.5], dtype=scale_dtype)
    found = guided(unconditional, conditional, scales)
    assert found.dtype == torch.promote_types(dtype, torch.float32)
    for row, scale in enumerate(scales.tolist()):
        zero, one = unconditional[row].double(), conditional[row].double()
        expected = zero + scale * (one - zero)
        torch.testing.assert_close(found[row].double(), expected, rtol=1e-5, atol=1e-5)


# diffusers 0.42 hands tensors to numpy 2 in the old way.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


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
