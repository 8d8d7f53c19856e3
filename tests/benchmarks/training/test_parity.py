"""Tests of `benchmarks.training.parity`."""

import torch

from benchmarks.training.parity import measure_parity


def test_bfloat16_goes_the_way_of_float32_but_not_quite() -> None:
    parity = measure_parity("tiny", torch.device("cpu"), rows=2)
    assert 0 <= parity.loss < 0.01
    assert 0.99 < parity.cosine < 1
    assert 0 < parity.norm < 0.05
