"""Tests of `serve.api.state_routes`."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from cdcore.model.base import Base
from cdcore.registry.registry import Registry
from serve.api import state_routes
from serve.gateway.host import EngineHost
from tests.serve.service_case import hosting, serving


def test_it_is_alive_always_and_ready_while_an_engine_works(
    tiny_base: Base, shared_registry: Registry, tmp_path: Path
) -> None:
    with (
        hosting(tiny_base, shared_registry, tmp_path) as host,
        serving(host, shared_registry) as client,
    ):
        ready = client.get("/readyz")
        assert ready.json()["status"] == "ready"
        assert ready.json()["concepts"] >= 3
        host.close()
        stopped = client.get("/readyz")
        assert stopped.status_code == 503
        assert stopped.json()["error"]["code"] == "service_unavailable"
        assert int(stopped.headers["retry-after"]) > 0
        assert client.get("/healthz").json() == {"status": "alive"}


def test_an_engine_that_does_not_answer_is_not_ready(
    host: EngineHost, shared_registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silent() -> Mapping[str, float]:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(host, "figures", silent)
    monkeypatch.setattr(state_routes, "_WAIT_S", 0.05)
    with serving(host, shared_registry) as client:
        answer = client.get("/readyz")
    assert answer.status_code == 503
    assert "no engine has answered" in answer.json()["error"]["message"]


def test_the_page_is_whole_and_loads_nothing_from_elsewhere(
    host: EngineHost, shared_registry: Registry
) -> None:
    with serving(host, shared_registry) as client:
        page = client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "v1/images/generations" in page.text
    assert "//" not in page.text.replace("://", "")
    assert "innerHTML" not in page.text
