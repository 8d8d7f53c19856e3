"""Places for registries: a folder, and a bucket of a server that speaks S3."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.s3 import s3_server
from tests.tiny import random_update

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
    from cdcore.concepts.concept import Concept
    from cdcore.concepts.storage import save_concept
    from cdcore.concepts.subject import Subject

    folder, files = tmp_path_factory.mktemp("concepts"), []
    for seed in range(4):
        concept = Concept(
            name="mycat",
            update=random_update(tiny_base.seam.layout.shape, seed=seed),
            tokens={"<mycat>": tiny_base.text_encoder.initial_embedding("cat")},
            subjects=(Subject(class_noun="cat", token="<mycat>"),),
            base_name="tiny",
            base_fingerprint=tiny_base.fingerprint,
        )
        files.append(folder / str(seed) / "mycat.safetensors")
        save_concept(concept, files[-1], tiny_base)
    return files
