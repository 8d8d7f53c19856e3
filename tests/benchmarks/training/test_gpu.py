"""Tests of `benchmarks.training.gpu`: the code that a GPU will run, on a CPU at a tiny shape."""

import json
from typing import Any

import pytest
import torch
from rich.console import Console

from benchmarks.training.gpu import GPUBenchmark, measure
from cdcore.errors import ConfigError


def job(**changes: Any) -> GPUBenchmark:
    settings: dict[str, Any] = {
        "shape": "tiny",
        "quick": True,
        "variants": ("eager",),
        "engine": "local",
        "parts": ("ceiling", "training", "parity"),
        "device": "cpu",
    }
    return GPUBenchmark(**settings | changes)


def test_training_is_timed_against_the_ceiling_and_the_stock_recipe() -> None:
    figures = json.loads(json.dumps(measure(job(), Console(quiet=True))))
    training = figures["training"]
    assert set(training) == {"ours, eager", "stock"}
    for one in training.values():
        assert one["compile_and_warm_up_seconds"] > 0
        assert one["seconds"] == pytest.approx(one["steps"] * one["seconds_per_step"])
        share = one["flops_per_second"] / figures["ceiling"]["flops_per_second"]
        assert one["share_of_ceiling"] == pytest.approx(share)
        assert 0 < share < 1
    assert training["stock"]["ratio_to_stock"] == 1
    assert figures["parity"]["cosine"] > 0.99


@pytest.mark.slow
# torch's compiler warns about what it meets in diffusers and in torch itself.
@pytest.mark.filterwarnings("ignore")
def test_compiling_is_no_part_of_the_timed_steps() -> None:
    # Traced, but not compiled to machine code, which would take a CPU minutes.
    made = job(parts=("training",), variants=("channels-last",), backend="eager")
    training = measure(made, Console(quiet=True))["training"]
    one = training["ours, channels-last"]
    assert one["compile_and_warm_up_seconds"] > one["seconds"]


@pytest.mark.gpu
@pytest.mark.slow
def test_on_a_gpu_memory_is_measured_too() -> None:
    figures = measure(job(device="cuda"), Console(quiet=True))
    for one in figures["training"].values():
        assert one["peak_memory_bytes"] > 0


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_gpu_it_says_so() -> None:
    with pytest.raises(ConfigError, match="this machine has none"):
        measure(job(device="cuda"), Console(quiet=True))
