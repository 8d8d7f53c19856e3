"""Tests of `cdcore.pocket.networks.judge_embedders`."""

import torch
from torch import Tensor

from cdcore.pocket.networks.judge import Judge
from cdcore.pocket.networks.judge_embedders import JudgeEmbedder, JudgeLook
from cdcore.pocket.networks.tokenizer import build_tokenizer
from cdcore.pocket.scenes.caption import words
from tests.cdcore.embedder_case import SIDE


def pixels(count: int, height: int = SIDE, width: int = SIDE) -> Tensor:
    generator = torch.Generator().manual_seed(count)
    return torch.rand(count, 3, height, width, generator=generator) * 2 - 1


def test_the_judge_sees_its_own_size_as_it_is_and_others_made_small() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        judge = Judge.untrained(build_tokenizer(words()), layers=1).eval()
    embedder, look = JudgeEmbedder(judge), JudgeLook(judge)
    own, large = pixels(2, 64, 64), pixels(2, 96, 128)
    assert torch.equal(embedder.embed_pictures(own), judge.embed_pictures(own))
    assert torch.equal(look.embed_pictures(own), judge.look(own))
    assert torch.equal(embedder.embed_texts(["a cat"]), judge.embed_texts(["a cat"]))
    assert embedder.embed_pictures(large).shape == embedder.embed_pictures(own).shape
    # Two views of a picture: with texts in mind, and without.
    assert not torch.allclose(look.embed_pictures(own), embedder.embed_pictures(own), atol=0.1)
