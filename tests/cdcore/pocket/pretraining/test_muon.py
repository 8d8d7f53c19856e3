"""Tests of `cdcore.pocket.pretraining.muon`."""

import pytest
import torch
from torch import nn

from cdcore.pocket.pretraining.muon import Muon, is_hidden_matrix


@pytest.mark.parametrize("shape", [(16, 32), (32, 16), (16, 4, 3, 3)])
def test_a_step_moves_every_direction_of_a_matrix_about_equally(shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    parameter = nn.Parameter(torch.zeros(shape))
    parameter.grad = torch.randn(shape, generator=generator) * 1e-3
    parameter.grad[0] *= 50
    Muon([parameter], lr=0.1).step()
    moved = parameter.detach().flatten(1)
    sizes = torch.linalg.svdvals(moved)
    assert sizes.min() > 0
    assert sizes.max() / sizes.min() < 3
    assert (moved * parameter.grad.flatten(1)).sum() < 0, "it goes downhill"


def test_it_descends_and_leaves_alone_what_has_no_gradient() -> None:
    generator = torch.Generator().manual_seed(1)
    goal = torch.randn(8, 8, generator=generator)
    parameter, idle = nn.Parameter(torch.zeros(8, 8)), nn.Parameter(torch.ones(8, 8))
    optimizer = Muon([parameter, idle], lr=0.05)
    losses = []
    for _ in range(60):
        loss = (parameter - goal).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]
    assert torch.equal(idle, torch.ones(8, 8))


def test_it_suits_hidden_matrices_only() -> None:
    for name, shape, suits in (
        ("mlp.weight", (16, 8), True),
        ("conv.weight", (16, 8, 3, 3), True),
        ("conv_out.weight", (3, 8, 3, 3), False),
        ("norm.weight", (16,), False),
        ("token_embedding.weight", (100, 16), False),
    ):
        assert is_hidden_matrix(name, torch.zeros(shape)) == suits
