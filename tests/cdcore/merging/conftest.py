"""Two concept files to merge, and a folder for statistics."""

from pathlib import Path

import pytest

from cdcore.model.base import Base
from tests.cdcore.concept_case import write_concept


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where statistics are kept."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def concept_file(tiny_base: Base, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``mycat.safetensors`` with the token ``<mycat>``."""
    return write_concept(tiny_base, tmp_path_factory.mktemp("concepts"))


@pytest.fixture(scope="session")
def other_concept_file(tiny_base: Base, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``mypot.safetensors`` with the token ``<mypot>``."""
    folder = tmp_path_factory.mktemp("concepts")
    return write_concept(tiny_base, folder, "wooden pot", name="mypot", seed=1)


@pytest.fixture
def files(concept_file: Path, other_concept_file: Path) -> list[tuple[Path, float]]:
    """Both files with their weights."""
    return [(concept_file, 1.0), (other_concept_file, 0.5)]
