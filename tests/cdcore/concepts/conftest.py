"""A concept of the tiny base, and its file."""

from pathlib import Path

import pytest

from cdcore.concepts.concept import Concept
from cdcore.concepts.storage import save_concept
from cdcore.model.base import Base
from tests.cdcore.concepts.case import make_concept


@pytest.fixture(scope="module")
def concept(tiny_base: Base) -> Concept:
    return make_concept(tiny_base)


@pytest.fixture
def path(concept: Concept, tiny_base: Base, tmp_path: Path) -> Path:
    """A good concept file."""
    path = tmp_path / "mycat.safetensors"
    save_concept(concept, path, tiny_base)
    return path
