"""Places for registries: a folder, and a bucket of a server that speaks S3."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.s3 import s3_server

if TYPE_CHECKING:
    from cdcore.model.base import Base


@pytest.fixture(scope="session")
def s3_options() -> Iterator[str]:
    """The options of an S3 URI that reach a server of this session; its bucket is ``bucket``."""
    with s3_server() as options:
        yield options


@pytest.fixture
def s3_location(s3_options: str) -> str:
    """An empty place in the bucket."""
    return f"s3://key:secret@bucket/{uuid.uuid4().hex}/concepts?{s3_options}"


@pytest.fixture(params=["folder", "s3"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty place, of each kind."""
    if request.param == "folder":
        return str(tmp_path / "concepts")
    found: str = request.getfixturevalue("s3_location")
    return found


@pytest.fixture(scope="session")
def concept_files(tiny_base: "Base", tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Four files of one concept ``mycat``, trained differently."""
    from tests.cdcore.concept_case import write_concept

    folder = tmp_path_factory.mktemp("concepts")
    return [
        write_concept(tiny_base, folder / str(seed), seed=seed, base_name="tiny")
        for seed in range(4)
    ]
