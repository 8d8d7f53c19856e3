"""Tests of `serve.api.middleware`."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI, Request
from starlette.testclient import TestClient

from serve.api.errors import add_error_handlers
from serve.api.middleware import HttpGuard, request_id


@pytest.fixture
def client() -> Iterator[TestClient]:
    app = FastAPI()
    add_error_handlers(app)

    @app.post("/size")
    async def size(request: Request) -> dict[str, Any]:
        request.state.noted = {"owner": "alice"}
        return {"size": len(await request.body()), "id": request_id()}

    @app.get("/defect")
    async def defect() -> None:
        raise ZeroDivisionError

    app.add_middleware(HttpGuard, max_body=lambda scope: 100)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def test_bodies_are_bounded_whether_or_not_they_say_their_length(client: TestClient) -> None:
    assert client.post("/size", content=b"x" * 100).json()["size"] == 100
    for body in (b"x" * 101, iter([b"x" * 60, b"x" * 60])):
        answer = client.post("/size", content=body)
        assert answer.status_code == 413
        assert "larger than 100 bytes" in answer.json()["error"]["message"]
    lying = client.post("/size", content=b"x", headers={"content-length": "9" * 30})
    assert lying.status_code == 413


def test_every_request_has_an_id_and_a_line_in_the_log(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "serve.access")
    made = client.post("/size", content=b"xy")
    own = made.headers["x-request-id"]
    assert made.json()["id"] == own
    given = client.post("/size", content=b"", headers={"x-request-id": "abc-1"})
    assert given.json()["id"] == "abc-1"
    forged = client.post("/size", content=b"", headers={"x-request-id": "a\tb"})
    assert forged.json()["id"] == forged.headers["x-request-id"]
    assert client.get("/defect").status_code == 500
    lines = [json.loads(record.message) for record in caplog.records]
    assert [line["status"] for line in lines] == [200, 200, 200, 500]
    assert lines[0]["request_id"] == own
    assert (lines[0]["owner"], lines[0]["path"]) == ("alice", "/size")
    assert lines[1]["request_id"] == "abc-1"
    assert request_id() == ""
