"""Tests of `cdcore.training.engine`."""

from dataclasses import replace

import torch
from torch import Tensor

from cdcore.model.base import Base
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
