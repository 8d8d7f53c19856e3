"""Tests of `serve.concepts.registry_source`."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cdcore.concepts.storage import load_concept, load_merge_inputs
from cdcore.errors import ConceptFileError, RegistryError, UnknownConceptError
from cdcore.model.base import Base
from cdcore.registry.registry import Registry
from serve.concepts.mix import ConceptMix, ConceptRef
from serve.concepts.registry_source import RegistrySource
from tests.serve.engine_case import CONFIG, SIMPLE, running


@pytest.fixture
def registry(concept_folder: Path, tmp_path: Path) -> Registry:
    registry = Registry(tmp_path / "registry")
    registry.publish(concept_folder / "alice.safetensors", "mine")
    return registry


def reference_to(registry: Registry, name: str) -> ConceptRef:
    return ConceptRef(name, registry.entry(name).version)


def test_a_version_is_fetched_whole(registry: Registry, tmp_path: Path) -> None:
    source, wanted = RegistrySource(registry), reference_to(registry, "mine")
    path = tmp_path / "copy.safetensors"
    path.touch()
    source.locate([wanted])
    source.fetch(wanted, path)
    assert path.read_bytes() == registry.resolve("mine").read_bytes()
    assert source.file_bytes(wanted) == path.stat().st_size


def test_what_was_located_is_known_without_the_store(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, wanted = RegistrySource(registry), reference_to(registry, "mine")
    source.locate([wanted])
    monkeypatch.setattr(registry.store, "listing", None)
    assert source.file_bytes(wanted) > 0


def test_merge_inputs_have_the_registry_s_name_and_come_with_the_file(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, wanted = RegistrySource(registry), reference_to(registry, "mine")
    own = load_merge_inputs(registry.resolve("mine"))
    assert source.inputs(wanted).digest == own.digest
    other = RegistrySource(registry)
    other.fetch(wanted, tmp_path / "copy.safetensors")
    monkeypatch.setattr(registry, "resolve", None)
    inputs = other.inputs(wanted)
    assert (own.name, inputs.name) == ("alice", "mine")
    assert torch.equal(inputs.constraint.values, own.constraint.values)


def test_what_does_not_exist_is_named(registry: Registry) -> None:
    source = RegistrySource(registry)
    for name, version, error in (
        ("mine", "9-0123456789abcdef", UnknownConceptError),
        ("other", "1-0123456789abcdef", UnknownConceptError),
        ("../mine", "1-0123456789abcdef", RegistryError),
    ):
        with pytest.raises(error, match=name.replace(".", r"\.")):
            source.locate([ConceptRef(name, version)])


def test_a_file_without_merge_inputs_can_still_be_fetched(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> None:
        raise ConceptFileError(f"{path}: no merge inputs")

    source, wanted = RegistrySource(registry), reference_to(registry, "mine")
    monkeypatch.setattr("serve.concepts.registry_source.load_merge_inputs", refuse)
    source.fetch(wanted, tmp_path / "copy.safetensors")
    with pytest.raises(ConceptFileError, match="no merge inputs"):
        source.inputs(wanted)


def test_an_engine_serves_what_is_published_while_it_runs_and_every_old_version(
    tiny_base: Base, registry: Registry, concept_folder: Path, tmp_path: Path
) -> None:
    source = RegistrySource(registry)
    first = reference_to(registry, "mine")

    def picture(reference: ConceptRef) -> torch.Tensor:
        mix = ConceptMix.of((reference, 1.0), method="")
        request = replace(SIMPLE, prompt="a cat", mix=mix, deterministic=True)
        return engine.ask(request).result(200).pictures[0]

    with running(tiny_base, source, tmp_path / "cache", CONFIG) as engine:
        before = picture(first)
        registry.publish(concept_folder / "boris.safetensors", "mine")
        second = reference_to(registry, "mine")
        assert second != first
        assert not torch.equal(picture(second), before)
        assert torch.equal(picture(first), before)
    assert load_concept(registry.resolve("mine")).name == "boris"
