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
def files(tiny_base: Base, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Path, float]]:
    """``mycat`` and ``mypot`` with their weights."""
    folder = tmp_path_factory.mktemp("concepts")
    pot = write_concept(tiny_base, folder, "wooden pot", name="mypot", seed=1)
    return [(write_concept(tiny_base, folder), 1.0), (pot, 0.5)]
