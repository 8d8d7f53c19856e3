"""Tests of `cdcore.sampling.request`."""

from dataclasses import replace

import pytest

from cdcore.errors import ConfigError
from cdcore.sampling.request import Request

SIMPLE = Request(prompt="a red cat", seed=7, steps=3, guidance_scale=2.0)


@pytest.mark.parametrize("scale", [0.99, -1.0, float("nan"), float("inf")])
def test_guidance_out_of_range_is_refused(scale: float) -> None:
    with pytest.raises(ConfigError, match="guidance_scale"):
        replace(SIMPLE, guidance_scale=scale)
