"""Tests of `serve.catalogue.catalogue`."""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from cdcore.errors import ConceptFileError, ConfigError, RegistryError, UnknownConceptError
from cdcore.model.base import Base
from cdcore.registry.registry import Registry
from serve.catalogue.caller import ANYONE, Caller
from serve.catalogue.catalogue import Catalogue
from tests.serve.service_case import save_mergeable

ALICE, BORIS = Caller(owner="alice"), Caller(owner="boris", max_concepts=1)
ROOT = Caller(owner="root", is_admin=True)


@pytest.fixture(scope="module")
def data(tiny_base: Base, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, bytes]:
    files = save_mergeable(tiny_base, tmp_path_factory.mktemp("files"))
    return {name: file.read_bytes() for name, file in files.items()}


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "registry")


@pytest.fixture
def catalogue(registry: Registry) -> Iterator[Catalogue]:
    catalogue = Catalogue(registry, poll_s=0.02)
    yield catalogue
    catalogue.close()


def names(catalogue: Catalogue, caller: Caller) -> list[str]:
    return [known.name for known in catalogue.concepts(caller)]


def test_what_training_publishes_appears_by_itself_and_goes_again(
    registry: Registry, catalogue: Catalogue, data: Mapping[str, bytes]
) -> None:
    catalogue.start()
    assert names(catalogue, ALICE) == []
    entry = registry.publish(data["mycat"], "mycat")
    deadline = time.monotonic() + 300
    while names(catalogue, ALICE) != ["mycat"]:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert catalogue.concept("mycat", ALICE).version == entry.version
    registry.delete("mycat")
    while names(catalogue, ALICE):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_others_concepts_do_not_exist(
    registry: Registry, catalogue: Catalogue, data: Mapping[str, bytes]
) -> None:
    registry.publish(data["mydog"], "shared")
    catalogue.publish("hers", data["mycat"], ALICE)
    second = Catalogue(registry)
    second.refresh()
    for view in (catalogue, second):
        assert names(view, ALICE) == ["hers", "shared"]
        assert names(view, BORIS) == ["shared"]
        assert names(view, ANYONE) == ["hers", "shared"]
        with pytest.raises(UnknownConceptError, match="there is no concept 'hers'; there are sha"):
            view.concept("hers", BORIS)
        for change in (
            lambda view=view: view.publish("hers", data["mydog"], BORIS),
            lambda view=view: view.delete("hers", None, BORIS),
            lambda view=view: view.rollback("hers", None, BORIS),
            lambda view=view: view.delete("shared", None, ALICE),
            lambda view=view: view.publish("shared", data["mycat"], ALICE),
            lambda view=view: view.reference("hers", "1", BORIS),
            lambda view=view: view.versions("hers", BORIS),
        ):
            with pytest.raises(UnknownConceptError):
                change()
    catalogue.publish("hers", data["mydog"], ROOT)
    assert catalogue.concept("hers", ALICE).owner == "alice"
    catalogue.delete("hers", None, ALICE)
    catalogue.publish("hers", data["mydog"], BORIS)
    assert names(catalogue, ALICE) == ["shared"]
    with pytest.raises(ConfigError, match="may keep 1 concepts"):
        catalogue.publish("more", data["mycat"], BORIS)
    catalogue.publish("hers", data["mycat"], BORIS)


def test_without_keys_what_is_uploaded_is_everybodys(
    catalogue: Catalogue, data: Mapping[str, bytes]
) -> None:
    assert catalogue.publish("mycat", data["mycat"], ANYONE).owner is None
    assert names(catalogue, ALICE) == ["mycat"]


def test_versions_go_back_and_forth(catalogue: Catalogue, data: Mapping[str, bytes]) -> None:
    first = catalogue.publish("pet", data["mycat"], ALICE).version
    second = catalogue.publish("pet", data["mydog"], ALICE).version
    assert catalogue.versions("pet", ALICE) == [first, second]
    assert catalogue.reference("pet", None, ALICE).version == second
    assert catalogue.reference("pet", "1", ALICE).version == first
    assert catalogue.reference("pet", first, ALICE).version == first
    with pytest.raises(UnknownConceptError, match="no version '3' of concept 'pet'; it has 1-"):
        catalogue.reference("pet", "3", ALICE)
    assert catalogue.rollback("pet", None, ALICE).version == first
    with pytest.raises(RegistryError, match="is current"):
        catalogue.delete("pet", first, ALICE)
    catalogue.delete("pet", second, ALICE)
    assert catalogue.versions("pet", ALICE) == [first]


def test_what_cannot_be_published_leaves_nothing(registry: Registry, catalogue: Catalogue) -> None:
    with pytest.raises(ConceptFileError):
        catalogue.publish("bad", b"no concept", ALICE)
    with pytest.raises(RegistryError, match="no name for a registry"):
        catalogue.publish("../bad", b"no concept", ALICE)
    assert registry.names() == []
    assert not list(Path(registry.store.address()).rglob("*.json"))


def test_an_unreadable_registry_keeps_what_was_known(
    registry: Registry,
    catalogue: Catalogue,
    data: Mapping[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    catalogue.publish("mycat", data["mycat"], ALICE)

    def fail(folder: str) -> None:
        raise OSError("unreachable")

    monkeypatch.setattr(registry.store, "listing", fail)
    catalogue.start()
    time.sleep(0.1)
    assert names(catalogue, ALICE) == ["mycat"]
