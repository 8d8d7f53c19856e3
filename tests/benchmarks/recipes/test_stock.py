"""Tests of `benchmarks.recipes.stock`: it is the same method as this project's, done otherwise."""

from pathlib import Path

import torch
from torch import nn

from benchmarks.recipes.stock import install_processors
from cdcore.model.base import Base
from cdcore.model.loading import load_base
from cdcore.model.update import DenseUpdate
from tests.benchmarks.case import case, noise

PROMPTS = ("photo of a cat", "a dog in the snow")
TIMESTEPS = torch.tensor([900, 20])


def test_its_processors_leave_the_u_net_as_it_is(judged_folder: Path) -> None:
    base, other = load_base(str(judged_folder)), load_base(str(judged_folder))
    features = base.text_encoder.encode(PROMPTS).detach()
    z = noise(2, *base.latent_shape)
    expected = base.seam.predict(z, TIMESTEPS, base.seam.project(features))
    layers = install_processors(other.seam.unet)
    with torch.no_grad():
        shown = other.seam.unet(z, TIMESTEPS, features).sample
    torch.testing.assert_close(shown, expected, rtol=0, atol=1e-5)
    assert sum(weight.numel() for weight in layers.parameters()) == base.seam.stack.numel()


def test_its_keys_and_values_get_the_gradient_that_the_update_gets(judged_folder: Path) -> None:
    base, other = load_base(str(judged_folder)), load_base(str(judged_folder))
    features = base.text_encoder.encode(PROMPTS).detach()
    z = noise(2, *base.latent_shape)
    update = nn.Parameter(torch.zeros(base.seam.layout.shape))
    text_kv = base.seam.project(features, DenseUpdate(update), first_token_gradient=False)
    base.seam.predict(z, TIMESTEPS, text_kv).square().mean().backward()
    layers = install_processors(other.seam.unet)
    other.seam.unet(z, TIMESTEPS, features).sample.square().mean().backward()
    gradients = [weight.grad for weight in layers.parameters()]
    theirs = torch.cat([part for part in gradients if part is not None])
    assert update.grad is not None
    assert theirs.shape == update.grad.shape
    torch.testing.assert_close(theirs, update.grad, rtol=1e-3, atol=1e-8)


def test_its_concept_means_to_this_project_what_it_has_trained(
    judged_folder: Path, tmp_path: Path
) -> None:
    made = case(tmp_path, judged_folder, learning_rate=1e-3)
    base, trained = made.load_base(), made.load_base()
    recipe = made.stock_recipe(trained)
    recipe.advance(3)
    concept = recipe.concept()
    z = noise(1, *base.latent_shape)
    prompt = "photo of a <mycat> cat"
    ids = recipe._tokenizer([prompt], padding="max_length", return_tensors="pt").input_ids
    with torch.no_grad():
        features = base.text_encoder.encode([prompt], concept.tokens)
        text_kv = base.seam.project(features, concept.update)
        shown = base.seam.predict(z, TIMESTEPS[:1], text_kv)
        theirs = trained.text_encoder.model(input_ids=ids).last_hidden_state
        expected = trained.seam.unet(z, TIMESTEPS[:1], theirs).sample
        plain = base.seam.predict(z, TIMESTEPS[:1], base.seam.project(features))
    # The recipe's weight decay has reached the rows of the other words, by 3e-5 of their size.
    torch.testing.assert_close(shown, expected, rtol=0, atol=2e-4)
    assert (shown - plain).abs().max() > 1e-3


def test_only_the_token_learns_but_every_row_of_the_table_decays(
    judged_folder: Path, tmp_path: Path
) -> None:
    rate, decay, steps = 1e-2, 1e-2, 2
    made = case(tmp_path, judged_folder, learning_rate=rate)
    base = made.load_base()
    before = base.text_encoder.embedding_table.clone()
    recipe = made.stock_recipe(base)
    recipe.advance(steps)
    table, *layers = recipe.trained
    token = recipe._token_id
    kept = torch.arange(len(before)) != token
    torch.testing.assert_close(
        table.detach()[kept], before[kept] * (1 - rate * decay) ** steps, rtol=1e-5, atol=1e-8
    )
    assert (table.detach()[token] - before[token]).abs().max() > rate / 2
    assert all(weight.requires_grad for weight in layers)


def test_a_batch_is_targets_then_as_many_of_the_class(judged_folder: Path, tmp_path: Path) -> None:
    made = case(tmp_path, judged_folder)
    recipe = made.stock_recipe(made.load_base())
    batch = recipe.draw()
    rows = made.config.rows_per_step
    assert batch.pixels.shape == (rows, 3, 64, 64)
    assert batch.valid_mask.shape == (rows // 2, 1, 8, 8)
    has_token = (batch.ids == recipe._token_id).any(dim=1)
    assert has_token.tolist() == [True] * (rows // 2) + [False] * (rows // 2)


def test_the_same_seed_trains_the_same(judged_folder: Path, tmp_path: Path) -> None:
    def losses(seed: int) -> list[float]:
        made = case(tmp_path, judged_folder).with_settings(seed=seed)
        recipe = made.stock_recipe(made.load_base())
        return [recipe.step(recipe.draw()) for _ in range(2)]

    assert losses(0) == losses(0)
    assert losses(0) != losses(1)


def test_it_trains_with_the_whole_table(judged_folder: Path, tmp_path: Path) -> None:
    made = case(tmp_path, judged_folder)
    base: Base = made.load_base()
    rows, width = base.text_encoder.embedding_table.shape
    recipe = made.stock_recipe(base)
    assert recipe.trained[0].shape == (rows, width)


def test_drawing_ahead_trains_the_same(judged_folder: Path, tmp_path: Path) -> None:
    made = case(tmp_path, judged_folder)
    ahead, one_by_one = (made.stock_recipe(made.load_base()) for _ in range(2))
    ahead.advance(2)
    ahead.advance(1)
    for _ in range(3):
        one_by_one.step(one_by_one.draw())
    for left, right in zip(ahead.trained, one_by_one.trained, strict=True):
        assert torch.equal(left, right)
