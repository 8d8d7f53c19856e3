"""Places for registries: a folder, and a bucket of a server that speaks S3."""

import importlib.util
import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pyarrow import fs

from tests.tiny import random_update

if TYPE_CHECKING:
    from cdcore.base import Base


@pytest.fixture(scope="session")
def s3_options() -> Iterator[str]:
    """The options of an S3 URI that reach a server of this session; its bucket is ``bucket``."""
    if importlib.util.find_spec("moto") is None:
        pytest.skip("needs moto, which is among the development dependencies")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-p", str(port)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    options = f"endpoint_override=127.0.0.1:{port}&scheme=http&region=us-east-1"
    try:
        _wait_for(port, server)
        uri = f"s3://key:secret@bucket?{options}&allow_bucket_creation=true"
        filesystem, bucket = fs.FileSystem.from_uri(uri)
        filesystem.create_dir(bucket)
        yield options
    finally:
        server.kill()
        server.wait()


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert server.poll() is None
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise TimeoutError


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
    from cdcore.concept import Concept, save_concept
    from cdcore.subject import Subject

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
