"""Concept files of the tiny base."""

from pathlib import Path

import pytest

from cdcore.base import Base
from tests.serve.engine_case import FolderSource, save_concepts


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
