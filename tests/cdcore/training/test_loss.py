import pytest
import torch
from torch import Tensor

from cdcore.training.loss import row_losses


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def some_mask(rows: int, seed: int = 0) -> Tensor:
    mask = (torch.rand(rows, 1, 6, 6, generator=torch.Generator().manual_seed(seed)) < 0.3).float()
    mask[:, :, 0, 0] = 1
    return mask


@pytest.mark.parametrize("seed", range(5))
def test_a_row_s_loss_is_the_mean_over_its_valid_elements(seed: int) -> None:
    prediction, target, mask = drawn(3, 4, 6, 6), drawn(3, 4, 6, 6, seed=9), some_mask(3, seed)
    losses = row_losses(prediction, target, mask)
    for row in range(3):
        valid = mask[row].bool().expand(4, 6, 6)
        expected = (prediction[row][valid] - target[row][valid]).square().mean()
        torch.testing.assert_close(losses[row], expected)


def test_a_constant_error_costs_the_same_under_any_mask() -> None:
    target = drawn(4, 4, 6, 6)
    masks = torch.cat([some_mask(3), torch.ones(1, 1, 6, 6)])
    torch.testing.assert_close(row_losses(target + 2, target, masks), torch.full((4,), 4.0))


def test_what_is_masked_out_has_neither_a_loss_nor_a_gradient() -> None:
    mask, target = some_mask(2), drawn(2, 4, 6, 6, seed=1)
    prediction = drawn(2, 4, 6, 6).requires_grad_()
    losses = row_losses(prediction, target, mask)
    losses.sum().backward()
    assert prediction.grad is not None
    outside = (mask == 0).expand_as(prediction)
    assert torch.all(prediction.grad[outside] == 0)
    assert torch.all(prediction.grad[~outside] != 0)
    other = torch.where(outside, prediction.detach() + 1e3, prediction.detach())
    assert torch.equal(row_losses(other, target, mask), losses)


def test_a_prediction_in_half_precision_is_compared_in_the_target_s() -> None:
    target = drawn(2, 4, 6, 6)
    losses = row_losses(target.bfloat16() + 8, target, some_mask(2))
    assert losses.dtype == torch.float32
    assert torch.all(losses > 1)


@pytest.mark.parametrize("given", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("wanted", [torch.float32, torch.float64])
def test_the_target_s_dtype_is_that_of_the_loss(given: torch.dtype, wanted: torch.dtype) -> None:
    prediction, target = drawn(2, 4, 6, 6).to(given), drawn(2, 4, 6, 6, seed=1).to(wanted)
    losses = row_losses(prediction, target, some_mask(2))
    assert losses.dtype == wanted
    assert torch.equal(losses, row_losses(prediction.to(wanted), target, some_mask(2)))
