"""Tests of `serve.engine.preview`."""

import torch

from cdcore.model.base import Base
from serve.engine.preview import PreviewMap


def test_a_linear_autoencoder_is_found_exactly() -> None:
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(3, 4, 8, 8, generator=generator)
    weight = torch.randn(3, 4, generator=generator) * 0.1
    bias = torch.tensor([0.1, -0.2, 0.0])
    colours = torch.einsum("rc,bchw->brhw", weight, latents) + bias[:, None, None]
    # Within a cell pixels may vary as they like: their mean counts.
    texture = torch.randn(3, 3, 8, 4, 8, 4, generator=generator)
    texture -= texture.mean(dim=(3, 5), keepdim=True)
    pixels = colours.repeat_interleave(4, 2).repeat_interleave(4, 3) + texture.reshape(3, 3, 32, 32)
    found = PreviewMap.fit(latents, pixels)
    torch.testing.assert_close(found.weight, weight)
    torch.testing.assert_close(found.bias, bias)
    torch.testing.assert_close(found.render(latents[1]), colours[1].clamp(-1, 1))


def test_the_fit_is_that_of_least_squares() -> None:
    generator = torch.Generator().manual_seed(1)
    latents = torch.randn(2, 4, 8, 8, generator=generator)
    pixels = torch.tanh(torch.randn(2, 3, 8, 8, generator=generator))
    found = PreviewMap.fit(latents, pixels)
    rest = torch.einsum("rc,bchw->brhw", found.weight, latents) + found.bias[:, None, None] - pixels
    assert rest.mean(dim=(0, 2, 3)).abs().max() < 1e-5
    assert torch.einsum("brhw,bchw->rc", rest, latents).abs().max() < 1e-3


def test_a_base_has_one_map(tiny_base: Base) -> None:
    first, again = PreviewMap.of_base(tiny_base), PreviewMap.of_base(tiny_base)
    assert torch.equal(first.weight, again.weight)
    assert first.weight.shape == (3, 4)
    assert first.weight.abs().max() > 0
    rendered = first.render(torch.randn(4, 8, 12, generator=torch.Generator().manual_seed(2)))
    assert rendered.shape == (3, 8, 12)
    assert rendered.abs().max() <= 1
