"""Muon: momentum whose update of each weight matrix is made orthogonal.

Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks"; the scale of the
update is that of the post. torch's own Muon takes two-dimensional parameters only and iterates in
bfloat16, which a CPU without such instructions emulates.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

__all__ = ["Muon", "is_hidden_matrix"]

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5
_BORDERS = ("embed", "conv_in", "conv_out", "projection", "verdict")


def is_hidden_matrix(name: str, parameter: Tensor) -> bool:
    """Return whether Muon suits a parameter: a matrix or a kernel between hidden layers.

    Its steps have one size whatever the gradient, and in every direction, which first and last
    layers do not settle by: with its last layer under Muon the judge told half of the kinds after
    1,500 steps, with it under AdamW nine of ten after 200.
    """
    is_border = any(part in name for part in _BORDERS)
    return parameter.ndim in (2, 4) and not is_border and min(parameter.flatten(1).shape) >= 8


class Muon(torch.optim.Optimizer):
    """Muon over matrices and convolution kernels, in float32."""

    def __init__(self, params: Iterable[Any], lr: float = 0.02, momentum: float = 0.95) -> None:
        """Take over parameters or groups of them, each (O, I) or (O, I, kh, kw)."""
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad, group["lr"], group["momentum"])

    def _update(self, parameter: Tensor, gradient: Tensor, lr: float, momentum: float) -> None:
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        state["momentum"].lerp_(gradient, 1 - momentum)
        direction = torch.lerp(gradient, state["momentum"], momentum)
        rows, columns = parameter.shape[0], parameter[0].numel()
        step = _orthogonal(direction.flatten(1)) * max(1.0, rows / columns) ** 0.5
        parameter.sub_(step.view(parameter.shape), alpha=lr)


def _orthogonal(matrix: Tensor) -> Tensor:
    """Push all singular values of a matrix towards 1 by Newton-Schulz iterations."""
    a, b, c = _COEFFICIENTS
    is_tall = matrix.shape[0] > matrix.shape[1]
    x: Tensor = matrix.T if is_tall else matrix
    x = x / (x.norm() + 1e-7)
    for _ in range(_ITERATIONS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if is_tall else x
