"""A concept with all that a concept can have, and its file."""

from pathlib import Path

import pytest

from cdcore.concepts.concept import Concept
from cdcore.concepts.storage import save_concept
from cdcore.model.base import Base
from tests.cdcore.concepts.full_concept import full_concept


@pytest.fixture(scope="session")
def concept(tiny_base: Base) -> Concept:
    """The concept."""
    return full_concept(tiny_base)


@pytest.fixture
def path(concept: Concept, tiny_base: Base, tmp_path: Path) -> Path:
    """A good concept file."""
    path = tmp_path / "mycat.safetensors"
    save_concept(concept, path, tiny_base)
    return path
