"""Tests of `cdcore.model.text_tower`."""

import pytest
import torch
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from cdcore.model.text_tower import TextTower

IDS = torch.tensor([[90, 5, 6, 91, 0], [90, 7, 91, 0, 0]])
NONE = torch.full((2, 5), -1)


@pytest.fixture(scope="module")
def config() -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=100,
        hidden_size=8,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=5,
        projection_dim=6,
        bos_token_id=90,
        eos_token_id=91,
    )


def test_features_are_the_last_layer_s_and_nothing_is_pooled(config: CLIPTextConfig) -> None:
    model = CLIPTextModel(config)
    features, pooled = TextTower(model, 0, is_penultimate=False).read(IDS, NONE, [])
    assert torch.equal(features, model(input_ids=IDS).last_hidden_state)
    assert pooled is None


def test_sdxl_s_features_are_those_before_the_last_layer(config: CLIPTextConfig) -> None:
    model = CLIPTextModelWithProjection(config)
    features, pooled = TextTower(model, 0, is_penultimate=True).read(IDS, NONE, [])
    output = model(input_ids=IDS, output_hidden_states=True)
    assert torch.equal(features, output.hidden_states[1])
    assert not torch.equal(features, output.last_hidden_state)
    assert pooled is not None
    assert torch.equal(pooled, output.text_embeds)
    assert pooled.shape == (2, 6)


def test_a_row_takes_a_position_and_gets_its_gradient(config: CLIPTextConfig) -> None:
    tower = TextTower(CLIPTextModelWithProjection(config), 0, is_penultimate=True)
    row = tower.embedding_table[7].clone().requires_grad_()
    modifiers = torch.tensor([[-1, 0, -1, -1, -1], [-1, -1, -1, -1, -1]])
    features, pooled = tower.read(IDS, modifiers, [row])
    as_word = IDS.clone()
    as_word[0, 1] = 7
    expected, expected_pooled = tower.read(as_word, NONE, [])
    assert pooled is not None
    assert expected_pooled is not None
    assert torch.equal(features, expected)
    assert torch.equal(pooled, expected_pooled)
    (features[1].sum() + pooled[1].sum()).backward(retain_graph=True)
    assert row.grad is not None
    assert not row.grad.any()
    pooled[0].sum().backward()
    assert row.grad.any()
