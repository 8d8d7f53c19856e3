"""Tests of `serve.api.concept_responses`."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from cdcore.model.base import Base
from cdcore.registry.registry import Registry
from serve.api.concept_responses import base_model, concept_answer, concept_model
from serve.catalogue.listed_concept import ListedConcept
from serve.engine.config import EngineConfig
from serve.gateway.exporting import EXPORTS
from serve.gateway.facts import ServiceFacts


def test_a_concept_is_described_without_paths_and_fit_for_json(
    tiny_base: Base, mergeable: Mapping[str, Path], tmp_path: Path
) -> None:
    facts = ServiceFacts.of(tiny_base, EngineConfig())
    listed = ListedConcept.of(Registry(tmp_path).publish(mergeable["mycat"]), None)
    answer = concept_answer(listed, facts)
    assert answer.is_servable
    assert "/" not in answer.base
    assert (answer.versions, answer.formats) == (None, None)
    odd = replace(
        listed, metrics={"loss": float("nan")}, base_fingerprint="0" * 64, created_at="\ud800"
    )
    other = concept_answer(odd, facts, ["1-a"])
    assert not other.is_servable
    assert other.metrics == {"loss": None}
    assert (other.versions, other.formats) == (["1-a"], list(EXPORTS))
    assert other.model_dump_json()
    assert concept_model(listed).created > 1.7e9
    assert concept_model(listed).owned_by == "everybody"
    broken = replace(listed, entry=replace(listed.entry, published_at="long ago"), owner="alice")
    assert (concept_model(broken).created, concept_model(broken).owned_by) == (0, "alice")
    assert base_model(facts).id == facts.base_name
