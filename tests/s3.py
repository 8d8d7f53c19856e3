"""A server of a test's own that speaks S3."""

import importlib.util
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from pyarrow import fs

__all__ = ["s3_server"]


@contextmanager
def s3_server() -> Iterator[str]:
    """Run a server with an empty bucket ``bucket``, and yield the options of its URIs."""
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
