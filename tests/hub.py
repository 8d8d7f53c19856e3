"""A model hub for tests: its local cache as its client lays it out, and a server on this machine.

The server speaks the part of the hub's protocol that fetching a repository takes, so that the real
client runs against it.
"""

import hashlib
import json
import os
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

__all__ = ["COMMIT", "HubServer", "hub_environment", "hub_server", "lay_out"]

COMMIT = "0123456789abcdef0123456789abcdef01234567"
"""Of the one revision that every repository here has."""


def lay_out(folder: Path, cache: Path, hub_id: str) -> Path:
    """Put a folder into a local hub cache, as if it had been downloaded.

    Returns:
        The snapshot's folder.
    """
    repository = cache / f"models--{hub_id.replace('/', '--')}"
    snapshot = repository / "snapshots" / COMMIT
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        blob = repository / "blobs" / hashlib.sha256(path.read_bytes()).hexdigest()
        blob.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, blob)
        link = snapshot / path.relative_to(folder)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(blob, link.parent))
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    return snapshot


def hub_environment(cache: Path, **variables: str) -> dict[str, str]:
    """An environment with that hub cache and no other setting of the hub's client."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    return kept | {"HF_HUB_CACHE": str(cache), "HF_HUB_DISABLE_TELEMETRY": "1"} | variables


class HubServer(ThreadingHTTPServer):
    """Serves folders as repositories.

    Attributes:
        repositories: Folder by hub id.
        fetched: Paths of the files whose contents were asked for, in order.
        listed: How often the files of a repository were asked for.
    """

    daemon_threads = True

    def __init__(self, repositories: Mapping[str, Path]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories = dict(repositories)
        self.fetched: list[str] = []
        self.listed = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def hub_server(repositories: Mapping[str, Path]) -> Iterator[HubServer]:
    """Serve repositories while the block runs."""
    with HubServer(repositories) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: HubServer

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _answer(self, *, with_body: bool) -> None:
        path = urlsplit(self.path).path.strip("/")
        for hub_id, folder in self.server.repositories.items():
            if path.startswith(f"api/models/{hub_id}/tree/"):
                self.server.listed += 1
                return self._send(json.dumps(_listing(folder)).encode(), with_body=with_body)
            if path.startswith(f"api/models/{hub_id}"):
                description = {"id": hub_id, "sha": COMMIT, "private": False, "tags": []}
                return self._send(json.dumps(description).encode(), with_body=with_body)
            prefix = f"{hub_id}/resolve/{COMMIT}/"
            if path.startswith(prefix) and (folder / path.removeprefix(prefix)).is_file():
                name = path.removeprefix(prefix)
                if with_body:
                    self.server.fetched.append(name)
                return self._send((folder / name).read_bytes(), with_body=with_body)
        return self._send(b"", with_body=with_body, status=404)

    def _send(self, body: bytes, *, with_body: bool, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", f'"{hashlib.sha256(body).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        if status == 404:
            self.send_header("X-Error-Code", "RepoNotFound")
        self.end_headers()
        if with_body:
            self.wfile.write(body)


def _listing(folder: Path) -> list[dict[str, object]]:
    return [
        {
            "type": "file",
            "path": path.relative_to(folder).as_posix(),
            "size": path.stat().st_size,
            "oid": hashlib.sha1(path.read_bytes()).hexdigest(),
        }
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    ]
