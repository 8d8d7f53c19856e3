"""Tests of `cdcore.model.seam`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cdcore.errors import BaseModelError, UpdateShapeError
from cdcore.model.base import Base
from cdcore.model.loading import load_base
from cdcore.model.seam import Seam
from cdcore.model.update import DenseUpdate
from tests.tiny import random_update

PROMPTS = ("a red cat on the grass", "photo of a dog", "", "a moon gate at night")


def plain_unet(folder: Path) -> Any:
    """The U-Net as diffusers alone knows it."""
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel.from_pretrained(folder, subfolder="unet").eval()


def noisy_batch(base: Base, prompts: Sequence[str] = PROMPTS) -> tuple[Tensor, Tensor, Tensor]:
    """Latents, timesteps and text features."""
    generator = torch.Generator().manual_seed(3)
    z = torch.randn(len(prompts), *base.latent_shape, generator=generator)
    timesteps = torch.randint(1000, (len(prompts),), generator=generator)
    with torch.no_grad():
        return z, timesteps, base.text_encoder.encode(prompts)


@torch.no_grad()
def test_without_an_update_it_is_the_plain_unet_bit_for_bit(
    tiny_base: Base, tiny_folder: Path
) -> None:
    z, timesteps, features = noisy_batch(tiny_base)
    theirs = plain_unet(tiny_folder)(z, timesteps, features).sample
    ours = tiny_base.seam.predict(z, timesteps, tiny_base.seam.project(features))
    assert (ours - theirs).abs().max() == 0.0


@torch.no_grad()
@pytest.mark.parametrize("rank", [None, 3])
def test_injecting_an_update_is_installing_it_in_the_plain_unet(
    tiny_base: Base, tiny_folder: Path, rank: int | None
) -> None:
    seam = tiny_base.seam
    update = random_update(seam.layout.shape, rank=rank)
    z, timesteps, features = noisy_batch(tiny_base)
    plain = plain_unet(tiny_folder)
    before = plain(z, timesteps, features).sample
    for name, part in seam.layout.split(seam.stack + update.dense()).items():
        plain.get_parameter(name).copy_(part)
    theirs = plain(z, timesteps, features).sample
    ours = seam.predict(z, timesteps, seam.project(features, update))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)
    assert (theirs - before).abs().max() > 1e-3, "the update must show"


@torch.no_grad()
def test_a_mixed_batch_is_every_concept_alone(tiny_base: Base) -> None:
    seam = tiny_base.seam
    dense = random_update(seam.layout.shape, seed=1)
    factored = random_update(seam.layout.shape, seed=2, rank=2)
    updates = [dense, None, factored, dense]
    z, timesteps, features = noisy_batch(tiny_base)
    together = seam.predict(z, timesteps, seam.project(features, updates))
    for row, update in enumerate(updates):
        one = slice(row, row + 1)
        alone = seam.predict(z[one], timesteps[one], seam.project(features[one], update))
        torch.testing.assert_close(together[one], alone, rtol=0, atol=1e-5)


def test_gradients_are_those_of_the_plain_weights(tiny_base: Base, tiny_folder: Path) -> None:
    seam = tiny_base.seam
    z, timesteps, features = noisy_batch(tiny_base)
    weight = torch.zeros(seam.layout.shape, requires_grad=True)
    text_kv = seam.project(features, DenseUpdate(weight))
    seam.predict(z, timesteps, text_kv).square().sum().backward()
    plain = plain_unet(tiny_folder)
    plain(z, timesteps, features).sample.square().sum().backward()
    theirs = torch.cat([plain.get_parameter(name).grad for name in seam.layout.names])
    assert weight.grad is not None
    assert theirs.any()
    torch.testing.assert_close(weight.grad, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("by_row", [False, True])
def test_the_first_token_can_use_the_update_without_teaching_it(
    tiny_base: Base, by_row: bool
) -> None:
    seam = tiny_base.seam
    z, timesteps, features = noisy_batch(tiny_base)
    weight = random_update(seam.layout.shape).dense().requires_grad_()
    update = DenseUpdate(weight)
    text_kv = seam.project(
        features, [update] * len(features) if by_row else update, first_token_gradient=False
    )
    with torch.no_grad():
        usual = seam.project(features, update)
    for ours, theirs in zip(text_kv, usual, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)
    loss = seam.predict(z, timesteps, text_kv).square().sum()
    by_token = torch.cat(torch.autograd.grad(loss, text_kv, retain_graph=True), dim=-1)
    loss.backward()
    masked = torch.einsum("btr,btc->rc", by_token[:, 1:], features[:, 1:])
    first = torch.einsum("br,bc->rc", by_token[:, 0], features[:, 0])
    assert weight.grad is not None
    torch.testing.assert_close(weight.grad, masked, rtol=1e-4, atol=1e-4)
    assert first.abs().max() > 1e-2, "the first token must have something to teach"


def test_nothing_ever_changes_the_unet(tiny_base: Base, tiny_folder: Path) -> None:
    seam = tiny_base.seam
    z, timesteps, features = noisy_batch(tiny_base)
    weight = random_update(seam.layout.shape).dense().requires_grad_()
    seam.predict(z, timesteps, seam.project(features, DenseUpdate(weight))).sum().backward()
    theirs, ours = plain_unet(tiny_folder).state_dict(), seam.unet.state_dict()
    assert theirs.keys() == ours.keys()
    assert all(torch.equal(theirs[name], ours[name]) for name in theirs)
    assert not seam.unet.training
    assert all(part.grad is None and not part.requires_grad for part in seam.unet.parameters())


@torch.no_grad()
def test_the_unet_s_dtype_is_that_of_the_work_whatever_it_is_given(
    tiny_base: Base, tiny_folder: Path
) -> None:
    seam = load_base(str(tiny_folder), dtype=torch.bfloat16).seam
    assert seam.dtype == torch.bfloat16
    assert seam.device == next(seam.unet.parameters()).device
    z, timesteps, features = noisy_batch(tiny_base)
    update = random_update(seam.layout.shape)
    results = []
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        text_kv = seam.project(features.bfloat16().to(dtype), update)
        assert {part.dtype for part in text_kv} == {torch.bfloat16}
        results.append(seam.predict(z.bfloat16().to(dtype), timesteps, text_kv))
        assert results[-1].dtype == torch.bfloat16
        assert torch.equal(results[-1], results[0])


@torch.no_grad()
def test_the_library_has_nothing_to_say_about_what_it_is_handed(
    tiny_base: Base, capfd: pytest.CaptureFixture[str]
) -> None:
    from diffusers.utils import logging

    level = logging.get_verbosity()
    logging.set_verbosity_warning()
    try:
        z, timesteps, features = noisy_batch(tiny_base)
        tiny_base.seam.predict(z, timesteps, tiny_base.seam.project(features))
    finally:
        logging.set_verbosity(level)
    assert capfd.readouterr() == ("", "")


def test_what_does_not_fit_is_refused(tiny_base: Base) -> None:
    seam = tiny_base.seam
    rows, width = seam.layout.shape
    features = noisy_batch(tiny_base)[2]
    wrong = DenseUpdate(torch.zeros(rows - 1, width))
    for updates in (wrong, [None, wrong, None, None]):
        with pytest.raises(UpdateShapeError, match="base that the concept was trained on"):
            seam.project(features, updates)
    with pytest.raises(ValueError, match="zip"):
        seam.project(features, [None] * 3)


def test_a_network_without_text_attention_is_refused() -> None:
    with pytest.raises(BaseModelError, match="expected exactly one"):
        Seam(nn.Linear(2, 2))


@pytest.mark.slow
@torch.no_grad()
def test_one_compiled_graph_serves_every_concept(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torch._dynamo.testing import CompileCounter

    base = load_base(str(tiny_folder))
    z, timesteps, features = noisy_batch(base)
    updates = [None, random_update(base.seam.layout.shape), None]
    eager = [
        base.seam.predict(z, timesteps, base.seam.project(features, update)) for update in updates
    ]
    counter = CompileCounter()
    compiled_unet = torch.compile(base.seam.unet, backend=counter, fullgraph=True)
    monkeypatch.setattr(base.seam, "unet", compiled_unet)
    for update, expected in zip(updates, eager, strict=True):
        compiled = base.seam.predict(z, timesteps, base.seam.project(features, update))
        torch.testing.assert_close(compiled, expected)
    assert counter.frame_count == 1
