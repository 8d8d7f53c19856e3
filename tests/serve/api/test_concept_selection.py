"""Tests of `serve.api.concept_selection`."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cdcore.concepts.storage import save_concept
from cdcore.errors import BaseMismatchError, ConfigError, TokenError, UnknownConceptError
from cdcore.model.base import Base
from cdcore.registry.registry import Registry
from serve.api.concept_selection import choose, mix_of
from serve.api.schemas import ConceptChoice, ImageRequest
from serve.catalogue.caller import ANYONE
from serve.catalogue.catalogue import Catalogue
from serve.engine.config import EngineConfig
from serve.gateway.facts import ServiceFacts
from tests.serve.service_case import make_concept


@pytest.fixture(scope="module")
def facts(tiny_base: Base) -> ServiceFacts:
    return ServiceFacts.of(tiny_base, EngineConfig())


@pytest.fixture(scope="module")
def catalogue(
    tiny_base: Base, mergeable: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Catalogue:
    folder = tmp_path_factory.mktemp("choosing")
    registry = Registry(folder / "registry")
    registry.publish(mergeable["mycat"])
    registry.publish(mergeable["mychair"])
    registry.publish(mergeable["mycat"], "copy")
    registry.publish(mergeable["mydog"], "second")
    registry.publish(mergeable["mydog"], "first")
    foreign = replace(make_concept(tiny_base, "far", noun="cat"), base_fingerprint="0" * 64)
    tiny = replace(tiny_base, fingerprint="0" * 64)
    save_concept(foreign, folder / "far.safetensors", tiny)
    registry.publish(folder / "far.safetensors")
    catalogue = Catalogue(registry)
    catalogue.refresh()
    return catalogue


def chosen(facts: ServiceFacts, catalogue: Catalogue, **body: Any) -> dict[str, float]:
    request = ImageRequest.model_validate({"prompt": "a cat", **body})
    mix, listed = choose(request, facts, catalogue, ANYONE)
    assert {concept.name for concept in listed} == {ref.name for ref, _ in mix.parts}
    assert (mix.method != "") == (len(mix.parts) > 1)
    return {reference.name: weight for reference, weight in mix.parts}


def test_concepts_are_named_in_one_of_three_places(
    facts: ServiceFacts, catalogue: Catalogue
) -> None:
    for body, wanted in (
        ({}, {}),
        ({"model": facts.base_name}, {}),
        ({"model": "mycat"}, {"mycat": 1}),
        ({"model": "mycat + mychair@1"}, {"mycat": 1, "mychair": 1}),
        ({"concepts": []}, {}),
        ({"concepts": [], "prompt": "a <mycat> cat"}, {}),
        ({"concepts": ["mychair"], "model": facts.base_name}, {"mychair": 1}),
        ({"concepts": [{"name": "mycat", "weight": 0.5}, "mychair"]}, {"mycat": 0.5, "mychair": 1}),
        ({"prompt": "a <MyCat> cat"}, {"mycat": 1}),
        ({"prompt": "a <mycat> cat", "negative_prompt": "<mychair>"}, {"mycat": 1, "mychair": 1}),
        ({"prompt": "<mycat> <mycat>", "model": facts.base_name}, {"mycat": 1}),
        ({"prompt": "a <mycat> cat", "model": "copy"}, {"copy": 1}),
    ):
        assert chosen(facts, catalogue, **body) == wanted, body


@pytest.mark.parametrize(
    ("body", "error", "says"),
    [
        ({"model": "nobody"}, UnknownConceptError, "no concept 'nobody'; there are copy, far"),
        ({"model": "mycat+"}, ConfigError, "joined by"),
        ({"model": "mycat@9"}, UnknownConceptError, "no version '9'"),
        ({"model": "mycat", "concepts": []}, ConfigError, "in one of them"),
        ({"model": "mycat+mycat"}, ConfigError, "each concept once"),
        ({"model": "mycat+copy"}, ConfigError, "both named <mycat>"),
        ({"model": "+".join("abcdefghi")}, ConfigError, "9 concepts are asked for, at most 8"),
        ({"model": "far"}, BaseMismatchError, "another base"),
        ({"prompt": "<mydog>"}, TokenError, "first, second teach"),
        ({"prompt": "<far> cat"}, TokenError, "no concept of this base teaches"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    facts: ServiceFacts,
    catalogue: Catalogue,
    body: dict[str, Any],
    error: type[Exception],
    says: str,
) -> None:
    with pytest.raises(error, match=says):
        chosen(facts, catalogue, **body)


def test_a_kept_merge_may_have_tokens_that_collide(
    facts: ServiceFacts, catalogue: Catalogue
) -> None:
    choices = [ConceptChoice(name="mycat"), ConceptChoice(name="copy")]
    assert len(mix_of(choices, "ridge", facts, catalogue, ANYONE).parts) == 2


def test_tokens_are_those_of_the_version_that_is_asked_for(
    facts: ServiceFacts, mergeable: Mapping[str, Path], tmp_path: Path
) -> None:
    registry = Registry(tmp_path)
    registry.publish(mergeable["mycat"], "pet")
    registry.publish(mergeable["mydog"], "pet")
    registry.publish(mergeable["mycat"])
    registry.publish(mergeable["mydog"])
    catalogue = Catalogue(registry)
    catalogue.refresh()
    assert chosen(facts, catalogue, model="pet@1+mydog") == {"pet": 1, "mydog": 1}
    assert chosen(facts, catalogue, model="pet+mycat") == {"pet": 1, "mycat": 1}
    for model in ("pet@1+mycat", "pet+mydog"):
        with pytest.raises(ConfigError, match="both named"):
            chosen(facts, catalogue, model=model)
