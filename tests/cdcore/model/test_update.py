"""Tests of `cdcore.model.update`."""

from typing import Any

import pytest
import torch

from cdcore.errors import UpdateShapeError
from cdcore.model.update import FactoredUpdate, update_of_tensors
from tests.tiny import random_update

SHAPE = (12, 6)
WIDTHS = (5, 4, 3)
FORMS = [
    pytest.param({}, id="dense"),
    pytest.param({"rank": 3}, id="factored"),
    pytest.param({"rank": 1}, id="rank one"),
    pytest.param({"rank": 2, "widths": WIDTHS}, id="blocks"),
    pytest.param({"rank": 1, "widths": (7, 5)}, id="two blocks"),
    pytest.param({"rank": 1, "widths": (12,)}, id="one block"),
]
Form = dict[str, Any]


@pytest.mark.parametrize("form", FORMS)
def test_applying_is_multiplying_by_the_dense_form(form: Form) -> None:
    update = random_update(SHAPE, **form)
    features = torch.randn(2, 5, 6, generator=torch.Generator().manual_seed(1))
    assert update.shape == update.dense().shape == SHAPE
    torch.testing.assert_close(update.apply(features), features @ update.dense().T)


@pytest.mark.parametrize("form", FORMS)
def test_scaling_scales_what_is_applied(form: Form) -> None:
    update = random_update(SHAPE, **form)
    torch.testing.assert_close(update.scaled(-0.5).dense(), -0.5 * update.dense())
    assert not update.scaled(0).dense().any()
    assert update.scaled(2.0).shape == SHAPE


@pytest.mark.parametrize("form", FORMS)
def test_moving_keeps_the_form_and_casts_only_when_asked(form: Form) -> None:
    update = random_update(SHAPE, **form)
    same, half = update.to("cpu"), update.to("cpu", torch.float16)
    assert torch.equal(same.dense(), update.dense())
    assert half.tensors().keys() == update.tensors().keys()
    assert {part.dtype for part in half.tensors().values()} == {torch.float16}
    assert half.dense().dtype == torch.float32
    torch.testing.assert_close(half.dense(), update.dense(), rtol=2e-3, atol=2e-3)
    assert update.to("cpu", torch.float64).dense().dtype == torch.float64


@pytest.mark.parametrize("form", FORMS)
def test_features_set_the_dtype_of_the_work(form: Form) -> None:
    update = random_update(SHAPE, **form)
    assert update.apply(torch.ones(1, 6, dtype=torch.bfloat16)).dtype == torch.bfloat16


@pytest.mark.parametrize("form", FORMS)
def test_an_update_is_its_named_tensors(form: Form) -> None:
    update = random_update(SHAPE, **form)
    again = update_of_tensors(update.tensors())
    assert all(again.tensors()[name] is tensor for name, tensor in update.tensors().items())


@pytest.mark.parametrize("form", FORMS)
def test_each_matrix_of_the_stack_is_some_rows_of_the_update(form: Form) -> None:
    update = random_update(SHAPE, **form)
    # An update of one pair may be of any matrices.
    for widths in {WIDTHS if form.get("rank") is None else form.get("widths", WIDTHS), (12,)}:
        if isinstance(update, FactoredUpdate) and len(update.pairs) not in (1, len(widths)):
            continue
        blocks = update.by_matrix(widths)
        for (part, right), rows in zip(blocks, update.dense().split(widths), strict=True):
            torch.testing.assert_close(part if right is None else part @ right, rows)


@pytest.mark.parametrize(
    "names",
    [
        ("left.0",),
        ("left.0", "right.1"),
        ("left.1", "right.1"),
        ("left.0", "right.0", "left"),
        ("right.0",),
        ("weight", "bias"),
    ],
    ids=str,
)
def test_other_names_are_no_update(names: tuple[str, ...]) -> None:
    with pytest.raises(UpdateShapeError):
        update_of_tensors({name: torch.zeros(2, 2) for name in names})


@pytest.mark.parametrize(
    "shapes",
    [
        (((4, 2), (2, 3)), ((4, 2), (2, 5))),
        (((4, 2), (3, 3)),),
        (((4, 2), (2, 3)), ((4, 2), (3, 3))),
        (((4, 2), (2, 3)), ((4,), (4, 3))),
        (((4, 0), (0, 3)),),
        (((4,), (4, 3)),),
        (),
    ],
    ids=str,
)
def test_blocks_that_do_not_fit_are_refused(shapes: Any) -> None:
    blocks = tuple((torch.zeros(left), torch.zeros(right)) for left, right in shapes)
    with pytest.raises(UpdateShapeError, match="such a pair for each matrix"):
        FactoredUpdate(blocks)


def test_gradients_reach_every_part() -> None:
    left, right = torch.ones(4, 2, requires_grad=True), torch.ones(2, 3, requires_grad=True)
    FactoredUpdate(((left, right),)).apply(torch.ones(1, 3)).sum().backward()
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
        update_of_tensors({name: torch.zeros(shape) for name, shape in shapes.items()})
