"""Tests of `benchmarks.common.machine`."""

import json
from datetime import datetime

import torch

from benchmarks.common.machine import describe_machine


def test_a_machine_is_described_in_what_json_can_hold() -> None:
    described = json.loads(json.dumps(describe_machine("cpu")))
    assert described["threads"] == torch.get_num_threads()
    assert described["libraries"]["torch"] == torch.__version__
    assert described["processor"]
    assert datetime.fromisoformat(described["date"]).tzinfo is not None
