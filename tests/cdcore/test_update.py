"""Tests of `cdcore.update`."""

import pytest
import torch

from cdcore.errors import UpdateShapeError
from cdcore.update import Update
from tests.tiny import random_update

SHAPE = (12, 6)
FORMS = [pytest.param(None, id="dense"), pytest.param(3, id="factored")]


@pytest.mark.parametrize("rank", FORMS)
def test_applying_is_multiplying_by_the_dense_form(rank: int | None) -> None:
    update = random_update(SHAPE, rank=rank)
    features = torch.randn(2, 5, 6, generator=torch.Generator().manual_seed(1))
    assert update.shape == update.dense().shape == SHAPE
    torch.testing.assert_close(update.apply(features), features @ update.dense().T)


@pytest.mark.parametrize("rank", FORMS)
def test_scaling_scales_what_is_applied(rank: int | None) -> None:
    update = random_update(SHAPE, rank=rank)
    torch.testing.assert_close(update.scaled(-0.5).dense(), -0.5 * update.dense())
    assert not update.scaled(0).dense().any()
    assert update.scaled(2.0).shape == SHAPE


@pytest.mark.parametrize("rank", FORMS)
def test_moving_keeps_the_form_and_casts_only_when_asked(rank: int | None) -> None:
    update = random_update(SHAPE, rank=rank)
    same, half = update.to("cpu"), update.to("cpu", torch.float16)
    assert torch.equal(same.dense(), update.dense())
    assert (half.weight is None) == (update.weight is None)
    assert half.dense().dtype == torch.float32
    torch.testing.assert_close(half.dense(), update.dense(), rtol=2e-3, atol=2e-3)
    assert update.to("cpu", torch.float64).dense().dtype == torch.float64


def test_features_set_the_dtype_of_the_work() -> None:
    for rank in (None, 2):
        update = random_update(SHAPE, rank=rank)
        assert update.apply(torch.ones(1, 6, dtype=torch.bfloat16)).dtype == torch.bfloat16


def test_gradients_reach_every_part() -> None:
    left, right = torch.ones(4, 2, requires_grad=True), torch.ones(2, 3, requires_grad=True)
    Update(left=left, right=right).apply(torch.ones(1, 3)).sum().backward()
    assert left.grad is not None
    assert right.grad is not None
    assert left.grad.any()
    assert right.grad.any()


@pytest.mark.parametrize(
    "shapes",
    [
        {},
        {"weight": (4,)},
        {"weight": (4, 3, 1)},
        {"left": (4, 2)},
        {"right": (2, 3)},
        {"left": (4, 2), "right": (3, 3)},
        {"left": (4, 0), "right": (0, 3)},
        {"weight": (4, 3), "left": (4, 2), "right": (2, 3)},
    ],
    ids=str,
)
def test_tensors_that_make_no_update_are_refused(shapes: dict[str, tuple[int, ...]]) -> None:
    with pytest.raises(UpdateShapeError, match="expected weight"):
        Update(**{name: torch.zeros(shape) for name, shape in shapes.items()})
