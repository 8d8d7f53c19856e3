"""Concept files of the tiny base, and one service for all tests that leave it as it was."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from cdcore.model.base import Base
from cdcore.registry.registry import Registry
from serve.gateway.host import EngineHost
from tests.serve.engine_case import FolderSource, save_concepts
from tests.serve.service_case import hosting, save_mergeable


@pytest.fixture(scope="session")
def concept_folder(tiny_base: Base, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of the concepts in `engine_case`; not to be written to."""
    folder = tmp_path_factory.mktemp("concepts")
    save_concepts(tiny_base, folder)
    return folder


@pytest.fixture
def source(concept_folder: Path) -> FolderSource:
    """A source that has fetched nothing yet."""
    return FolderSource(concept_folder)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run coroutines of tests as the service does."""
    return "asyncio"


@pytest.fixture(scope="session")
def mergeable(tiny_base: Base, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Files of concepts that merge well, by name; not to be written to."""
    return save_mergeable(tiny_base, tmp_path_factory.mktemp("mergeable"))


@pytest.fixture(scope="session")
def shared_registry(
    mergeable: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Registry:
    """A registry with those concepts; what a test adds it takes away again."""
    registry = Registry(tmp_path_factory.mktemp("registry"))
    for file in mergeable.values():
        registry.publish(file)
    return registry


@pytest.fixture(scope="session")
def host(
    tiny_base: Base, shared_registry: Registry, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EngineHost]:
    """An engine over that registry; not to be closed."""
    with hosting(tiny_base, shared_registry, tmp_path_factory.mktemp("cache")) as host:
        yield host
