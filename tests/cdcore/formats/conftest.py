"""Concepts and bases that formats are tried on."""

from pathlib import Path

import pytest

from cdcore.concepts.concept import Concept
from cdcore.formats.tensors.kv_base import KVBase
from cdcore.model.base import Base
from cdcore.model.families import PUBLISHED_FAMILIES, Family
from tests.cdcore.formats.cases import make_concept


@pytest.fixture(scope="session")
def kv_base(tiny_base: Base) -> KVBase:
    """The tiny base, with its weights."""
    return KVBase.of(tiny_base)


@pytest.fixture(scope="session")
def dense(kv_base: KVBase) -> Concept:
    """A dense concept of the tiny base."""
    return make_concept(kv_base)


@pytest.fixture(scope="session")
def low_rank(kv_base: KVBase) -> Concept:
    """What a merge makes: one pair of factors for the whole stack, two subjects."""
    return make_concept(kv_base, rank=3, nouns=("cat", "wooden pot"))


@pytest.fixture(scope="session")
def blocks(kv_base: KVBase) -> Concept:
    """What compression makes: factors of each matrix, of unequal rank."""
    return make_concept(kv_base, rank=2, has_blocks=True)


@pytest.fixture(scope="session", params=PUBLISHED_FAMILIES, ids=lambda family: family.name)
def family(request: pytest.FixtureRequest) -> Family:
    """Each family."""
    found: Family = request.param
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder below the test's own."""
    return tmp_path / "made"
