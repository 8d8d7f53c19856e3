"""Tests of `serve.api.authentication`."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from cdcore.registry.registry import Registry
from serve.api.authentication import is_local
from serve.api_keys import add_key
from serve.gateway.host import EngineHost
from tests.serve.service_case import serving


@pytest.mark.parametrize(
    ("server", "client", "host", "local"),
    [
        ("127.0.0.1", "127.0.0.1", "127.0.0.1:8000", True),
        ("127.0.0.1", "127.0.0.1", "localhost", True),
        ("::1", "::1", "[::1]:8000", True),
        ("::1", "::ffff:127.0.0.1", "[::1]", True),
        ("127.0.0.1", "127.0.0.1", "evil.example:8000", False),
        ("127.0.0.1", "127.0.0.1", "127.0.0.1.evil.example", False),
        ("127.0.0.1", "127.0.0.1", "", False),
        ("192.168.0.5", "192.168.0.5", "localhost", False),
        ("192.168.0.5", "192.168.0.9", "192.168.0.5", False),
        ("0.0.0.0", "127.0.0.1", "localhost", False),
        ("127.0.0.1", "10.0.0.1", "localhost", False),
    ],
)
def test_what_counts_as_this_machine(server: str, client: str, host: str, local: bool) -> None:
    assert is_local({"server": (server, 8000), "client": (client, 1)}, host) == local


def test_an_unknown_end_is_not_this_machine() -> None:
    assert not is_local({"server": None, "client": ("127.0.0.1", 1)}, "localhost")
    assert not is_local({"server": ("127.0.0.1", 1)}, "localhost")


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, str]:
    path = tmp_path / "keys.json"
    return {
        "alice": add_key(path, owner="alice", row_steps_per_minute=4, max_concepts=1),
        "boris": add_key(path, owner="boris"),
        "path": str(path),
    }


@pytest.fixture
def client(
    host: EngineHost, shared_registry: Registry, keys: dict[str, str]
) -> Iterator[TestClient]:
    with serving(host, shared_registry, keys=keys["path"]) as client:
        yield client


def test_without_keys_other_machines_are_told_to_ask_for_some(
    host: EngineHost, shared_registry: Registry
) -> None:
    with serving(host, shared_registry) as client:
        refused = client.get("/v1/models", headers={"host": "evil.example"})
        assert refused.status_code == 401
        assert "no API keys" in refused.json()["error"]["message"]
        assert refused.headers["www-authenticate"] == "Bearer"
        assert client.get("/healthz", headers={"host": "evil.example"}).status_code == 200
        assert client.get("/v1/models").status_code == 200


def test_with_keys_everyone_needs_one(client: TestClient, keys: dict[str, str]) -> None:
    for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": keys["alice"]}):
        for method, path in (
            ("GET", "/v1/models"),
            ("GET", "/v1/concepts/mycat/file"),
            ("PUT", "/v1/concepts/x"),
            ("DELETE", "/v1/concepts/mycat"),
            ("POST", "/v1/concepts/mycat/rollback"),
        ):
            answer = client.request(method, path, headers=headers, json={})
            assert answer.status_code == 401, path
            assert answer.json()["error"]["type"] == "authentication_error"
        body = {"prompt": "a cat"}
        refused = client.post("/v1/images/generations", json=body, headers=headers)
        assert refused.status_code == 401
    headers = {"authorization": f"Bearer {keys['alice']}"}
    assert client.get("/v1/models", headers=headers).status_code == 200


def test_owners_have_quotas_and_concepts_of_their_own(
    client: TestClient, keys: dict[str, str], shared_registry: Registry
) -> None:
    alice, boris = ({"authorization": f"Bearer {keys[name]}"} for name in ("alice", "boris"))
    data = shared_registry.resolve("mycat").read_bytes()
    put = client.put("/v1/concepts/hers", content=data, headers=alice)
    assert put.json()["owner"] == "alice"
    more = client.put("/v1/concepts/more", content=data, headers=alice)
    assert (more.status_code, more.json()["error"]["code"]) == (400, "invalid_value")
    body = {"prompt": "a cat", "model": "hers", "num_inference_steps": 2}
    assert client.post("/v1/images/generations", json=body, headers=boris).status_code == 404
    for method, path in (
        ("GET", ""), ("GET", "/file"), ("GET", "/thumbnail"), ("DELETE", ""), ("PUT", ""),
    ):  # fmt: skip
        found = client.request(
            method,
            f"/v1/concepts/hers{path}",
            headers=boris,
            content=data if method == "PUT" else b"",
        )
        assert found.status_code == 404, path
    merging = {"name": "both", "concepts": ["hers", "mychair"]}
    assert client.post("/v1/concepts/merge", json=merging, headers=boris).status_code == 404
    assert client.delete("/v1/concepts/mycat", headers=alice).status_code == 404
    statuses = [
        client.post("/v1/images/generations", json=body, headers=alice).status_code
        for _ in range(3)
    ]
    assert statuses == [200, 200, 429]
    wide = {**body, "n": 3}
    assert client.post("/v1/images/generations", json=wide, headers=alice).status_code == 400
    assert client.delete("/v1/concepts/hers", headers=alice).status_code == 200
