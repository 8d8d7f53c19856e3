"""Tests of `cdcore.training.engine`."""

from dataclasses import replace

import torch
from torch import Tensor

from cdcore.model.base import Base
from cdcore.model.update import FactoredUpdate
from cdcore.training.engine import MAX_GRADIENT_NORM, ConceptParameters, LocalEngine
from tests.cdcore.training_case import CAT, config


def test_the_local_engine_clips_the_norm_of_all_parameters_together() -> None:
    def stepped(scale: float) -> Tensor:
        driven = ConceptParameters(torch.zeros(4, 2), torch.zeros(1, 2))
        engine = LocalEngine(driven, 0.1)
        # Adam's second step tells a large first gradient from a small one.
        for factor in (scale, 1.0):
            total: Tensor = torch.cat([driven.update, driven.tokens]).sum()
            engine.backward(total * factor * MAX_GRADIENT_NORM)
            engine.step()
        assert driven.update.grad is None
        return driven.update.detach()

    assert torch.allclose(stepped(5.0), stepped(500.0), rtol=1e-5)
    assert not torch.allclose(stepped(0.01), stepped(500.0), rtol=1e-3)


def test_a_concept_starts_as_the_base_with_the_initializer_s_row(tiny_base: Base) -> None:
    start = ConceptParameters.initial(
        tiny_base, config(subjects=(replace(CAT, initializer_token="dog"),))
    )
    assert start.update.shape == tiny_base.seam.layout.shape
    assert not start.update.any()
    assert torch.equal(start.tokens[0], tiny_base.text_encoder.initial_embedding("dog"))


def test_a_factored_update_starts_as_none_and_has_a_rank_of_each_matrix(tiny_base: Base) -> None:
    layout, settings = tiny_base.seam.layout, config(update_rank=3)
    start = ConceptParameters.initial(tiny_base, settings)
    update = start.current_update(layout)
    assert isinstance(update, FactoredUpdate)
    layout.check(update)
    assert {len(right) for _, right in update.pairs} == {3}
    assert not update.dense().any()
    assert all(right.any() for _, right in update.pairs)
    again = ConceptParameters.initial(tiny_base, settings).current_update(layout)
    other = ConceptParameters.initial(tiny_base, config(update_rank=3, seed=1))
    assert torch.equal(update.pairs[0][1], again.tensors()["right.0"])
    assert not torch.equal(update.pairs[0][1], other.current_update(layout).tensors()["right.0"])


def test_gradients_of_factors_are_those_of_the_whole_update(tiny_base: Base) -> None:
    layout, text = tiny_base.seam.layout, tiny_base.text_encoder
    features = text.encode(["photo of a cat", "a dog"])

    def driven(rank: int) -> ConceptParameters:
        start = ConceptParameters.initial(tiny_base, config(update_rank=rank))
        made = torch.cat(
            tiny_base.seam.project(
                features, start.current_update(layout), first_token_gradient=False
            ),
            dim=-1,
        )
        made.square().sum().backward()
        return start

    whole, factored = driven(0), driven(2)
    assert whole.update.grad is not None
    assert factored.update.grad is not None
    assert factored.right is not None
    parts = zip(whole.update.grad.split(list(layout.widths)), factored.right, strict=True)
    expected = torch.cat([part @ right.detach().T for part, right in parts])
    torch.testing.assert_close(factored.update.grad, expected, rtol=1e-4, atol=1e-3)
