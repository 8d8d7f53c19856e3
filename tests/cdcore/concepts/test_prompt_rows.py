"""Tests of `cdcore.concepts.prompt_rows`."""

import pytest
import torch

from cdcore.concepts.prompt_rows import RowWeights, prompt_rows
from cdcore.errors import TokenError
from cdcore.model.base import Base

PROMPTS = ["photo of a cat", "a wooden pot on the beach"]
WORDS = [4, 6]


@pytest.fixture
def features(tiny_base: Base) -> torch.Tensor:
    with torch.no_grad():
        return tiny_base.text_encoder.encode(PROMPTS)


def test_words_and_the_end_count_but_neither_start_nor_padding(
    tiny_base: Base, features: torch.Tensor
) -> None:
    counted = prompt_rows(tiny_base.text_encoder, PROMPTS)
    expected = torch.cat([row[1 : 2 + words] for row, words in zip(features, WORDS, strict=True)])
    torch.testing.assert_close(counted.rows, expected)
    assert counted.words == len(expected) == sum(WORDS) + 2
    assert counted.weight == pytest.approx(sum(WORDS) + 2)


def test_the_second_moment_is_the_weighted_sum_over_all_rows(
    tiny_base: Base, features: torch.Tensor
) -> None:
    weights = RowWeights(start=0.5, padding=3.0)
    counted = prompt_rows(tiny_base.text_encoder, PROMPTS, weights=weights)
    expected = torch.zeros(features.shape[2], features.shape[2])
    for row, words in zip(features, WORDS, strict=True):
        start, own, padding = row[:1], row[1 : 2 + words], row[2 + words :]
        expected += 0.5 * start.T @ start + own.T @ own
        expected += 3.0 * len(own) / len(padding) * padding.T @ padding
    torch.testing.assert_close(counted.rows.T @ counted.rows, expected, rtol=1e-4, atol=1e-4)
    assert counted.weight == pytest.approx(2 * 0.5 + (1 + 3.0) * (sum(WORDS) + 2))
    assert counted.words == sum(WORDS) + 2


def test_rows_before_a_phrase_do_not_count(tiny_base: Base) -> None:
    generator = torch.Generator().manual_seed(0)
    tokens = {"<mycat>": torch.randn(tiny_base.seam.layout.text_width, generator=generator)}
    prompts = ["photo of a <mycat> cat", "<mycat> cat at night"]
    with torch.no_grad():
        features = tiny_base.text_encoder.encode(prompts, tokens)
    counted = prompt_rows(tiny_base.text_encoder, prompts, tokens, before=["photo of a ", ""])
    expected = torch.cat([features[0, 4:7], features[1, 1:6]])
    torch.testing.assert_close(counted.rows, expected)


def test_a_prompt_without_padding_has_none_to_count(tiny_base: Base) -> None:
    long = " ".join(["cat"] * 100)
    counted = prompt_rows(tiny_base.text_encoder, [long], weights=RowWeights(padding=1.0))
    assert counted.words == len(counted.rows) == tiny_base.text_encoder.max_tokens - 1
    assert counted.weight == counted.words


def test_an_unknown_token_is_refused(tiny_base: Base) -> None:
    with pytest.raises(TokenError, match="<mycat>"):
        prompt_rows(tiny_base.text_encoder, ["a <mycat> cat"])
