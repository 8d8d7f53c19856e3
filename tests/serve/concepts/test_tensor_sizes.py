"""Tests of `serve.concepts.tensor_sizes`."""

import torch

from cdcore.model.update import FactoredUpdate
from serve.concepts.tensor_sizes import tensor_bytes, tensors_in


def test_tensors_are_found_wherever_they_are() -> None:
    left, right = torch.zeros(6, 2), torch.zeros(2, 3, dtype=torch.float16)
    row = torch.zeros(5, dtype=torch.float64)
    value = (FactoredUpdate(((left, right),)), {"name": [row], "other": "text"}, 7, None)
    assert all(a is b for a, b in zip(tensors_in(value), (left, right, row), strict=True))
    assert tensor_bytes(value) == 6 * 2 * 4 + 2 * 3 * 2 + 5 * 8
    assert tensor_bytes("nothing") == 0
