"""Tests of `serve.engine.conditioning`."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cdcore.concepts.storage import load_concept
from cdcore.errors import TokenError
from cdcore.model.base import Base
from cdcore.sampling.pipeline import condition
from serve.concepts.preparation import Merged
from serve.concepts.tensor_sizes import tensor_bytes
from serve.engine.conditioning import Conditioner
from tests.serve.engine_case import ALICE, BORIS, CLARA, SIMPLE, FolderSource, mix, running

REQUEST = replace(SIMPLE, prompt="an <alice> cat", mix=mix(ALICE), negative_prompt="a barn")


def merged_alice(source: FolderSource) -> Merged:
    concept = load_concept(source.path(ALICE))
    return Merged(concept.update, concept.tokens, {"residual": 0.5})


def test_both_texts_are_projected_with_the_concept(tiny_base: Base, source: FolderSource) -> None:
    conditioner = Conditioner(tiny_base, prompt_bytes=10**9, device_bytes=10**9)
    merged = merged_alice(source)
    found = conditioner.condition(REQUEST, merged)
    wanted = condition(tiny_base, REQUEST.prompt, merged.update, merged.tokens)
    assert all(map(torch.equal, found.positive, wanted))
    assert found.negative is not None
    wanted = condition(tiny_base, "a barn", merged.update)
    assert all(map(torch.equal, found.negative, wanted))
    assert found.residuals == {"residual": 0.5}
    assert conditioner.prompts.used_bytes == 2 * tensor_bytes(wanted)
    assert conditioner.updates.used_bytes == tensor_bytes(merged.update)


def test_only_equal_requests_are_recalled(tiny_base: Base, source: FolderSource) -> None:
    conditioner = Conditioner(tiny_base, prompt_bytes=10**9, device_bytes=10**9)
    assert conditioner.recall(REQUEST) is None
    made = conditioner.condition(REQUEST, merged_alice(source))
    known = conditioner.recall(replace(REQUEST, steps=9, seeds=(1, 2), guidance_scale=3.0))
    assert known is not None
    assert known.positive is made.positive
    assert known.negative is made.negative
    for other in (
        replace(REQUEST, prompt="a cat"),
        replace(REQUEST, negative_prompt=""),
        replace(REQUEST, mix=mix(BORIS)),
        replace(REQUEST, mix=mix(ALICE, weight=0.5)),
    ):
        assert conditioner.recall(other) is None
    unguided = conditioner.recall(replace(REQUEST, guidance_scale=1.0, negative_prompt="any"))
    assert unguided is not None
    assert unguided.negative is None
    assert conditioner.lookups == {"miss": 5, "hit": 2}


def test_an_unknown_token_is_refused_and_nothing_kept(
    tiny_base: Base, source: FolderSource
) -> None:
    conditioner = Conditioner(tiny_base, prompt_bytes=10**9, device_bytes=10**9)
    unguided = replace(REQUEST, prompt="a <hat>", guidance_scale=1.0)
    with pytest.raises(TokenError, match="<hat>"):
        conditioner.condition(unguided, merged_alice(source))
    assert len(conditioner.prompts) == 0


def test_caches_without_a_budget_change_nothing(tiny_base: Base, source: FolderSource) -> None:
    conditioner = Conditioner(tiny_base, prompt_bytes=0, device_bytes=0)
    first = conditioner.condition(REQUEST, merged_alice(source))
    again = conditioner.condition(REQUEST, merged_alice(source))
    assert all(map(torch.equal, first.positive, again.positive))
    assert len(conditioner.prompts) == len(conditioner.updates) == 0


def test_a_known_prompt_needs_neither_concept_nor_text_encoder(
    tiny_base: Base, source: FolderSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = replace(SIMPLE, mix=mix(ALICE, CLARA), prompt="<alice> cat by the sea")
    with running(tiny_base, source, tmp_path / "cache") as engine:
        first = engine.ask(request).result(200.0)
        fetched, merges = dict(source.fetched), len(engine.preparer.merge_s)
        monkeypatch.setattr(tiny_base.text_encoder, "read", None)
        monkeypatch.setattr(engine.store, "request", None)
        second = engine.ask(replace(request, steps=3, seeds=(1, 7))).result(200.0)
        assert len(second.pictures) == 2
        assert second.done.residuals == first.done.residuals
        assert (dict(source.fetched), len(engine.preparer.merge_s)) == (fetched, merges)
