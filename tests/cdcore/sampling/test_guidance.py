"""Tests of `cdcore.sampling.guidance`; guided rows are tested with `cdcore.sampling.rows`."""

import pytest
import torch

from cdcore.sampling.guidance import guided


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
