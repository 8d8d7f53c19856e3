"""Tests of `benchmarks.training.flops_xl`."""

import pytest

from benchmarks.training.flops_xl import our_step_xl, stock_step_xl


@pytest.mark.slow
def test_at_the_shape_of_xl_this_project_does_less_for_the_same_rows() -> None:
    ours, stock = our_step_xl(), stock_step_xl()
    assert ours.flops < 0.8 * stock.flops
    assert ours.reduced_bytes == 4 * (166_400 * 2048 + 768 + 1280)
    assert stock.reduced_bytes == 4 * (166_400 * 2048 + 49_408 * (768 + 1280))
    rest = (ours.flops - ours.text_encoder) / (stock.flops - stock.text_encoder - stock.autoencoder)
    assert 0.98 < rest < 1.02
