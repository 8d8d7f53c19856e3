"""Tests of `benchmarks.training.flops`: no machine moves a count, so the aims are laws."""

import torch

from benchmarks.common.random_bases import random_base
from benchmarks.training.flops import our_step, reduced_bytes, stock_step


def test_gradients_are_reduced_in_float32() -> None:
    left, right = torch.zeros(3, 5, device="meta"), torch.zeros(5, 7, device="meta")
    assert reduced_bytes(left, right) == 4 * (15 + 35)


def test_at_stable_diffusion_s_shape_the_aims_are_met() -> None:
    ours, stock = our_step("sd1"), stock_step("sd1")
    assert ours.flops <= 0.62 * stock.flops
    assert ours.reduced_bytes <= 80e6
    # The update, and one row of a token.
    assert ours.reduced_bytes == 4 * (24_960 * 768 + 768)
    # Keys and values, and the whole table of words.
    assert stock.reduced_bytes == 4 * (24_960 * 768 + 49_408 * 768)
    assert ours.autoencoder == 0
    assert 0 < ours.text_encoder < stock.text_encoder < ours.flops / 20
    # What no recipe spares: the U-Net, there and back.
    rest = (ours.flops - ours.text_encoder) / (stock.flops - stock.text_encoder - stock.autoencoder)
    assert 0.98 < rest < 1.02


def test_counting_needs_no_values() -> None:
    base = random_base("tiny", device="meta")
    assert base.device.type == "meta"
    assert our_step("tiny").flops == our_step("tiny").flops < stock_step("tiny").flops
