"""Tests of `benchmarks.common.matmul_ceiling`."""

import torch

from benchmarks.common.matmul_ceiling import measure_ceiling


def test_a_ceiling_is_what_some_processor_can_do() -> None:
    ceiling = measure_ceiling(torch.device("cpu"), torch.float32)
    assert 1e8 < ceiling < 1e15
